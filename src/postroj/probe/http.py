"""A GET over a connection, in plain HTTP or TLS. What comes back is hostile: all of it is bounded."""

import http.client
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from postroj.deadline import Deadline

MOST = 1 << 20
"""How much of a body is read."""
_CHUNK = 65536
_END = "-----END CERTIFICATE-----"
# RFC 9113: what a client says first, and an empty frame of SETTINGS, which has the type 4.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


BAD_REQUEST, SERVER_ERRORS = 400, 500


class NotHttpError(OSError):
    """There is an answer, and it is not HTTP."""


class Body(NamedTuple):
    """What was read of a body."""

    text: str
    is_whole: bool


class Response:
    """An answer, of which the body has not been read."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self._response = response
        self.status = response.status
        self.answer = f"{response.status} {response.reason[:100]}"
        """`200 OK`."""
        self.headers: Sequence[tuple[str, str]] = response.getheaders()

    def body(self, limit: Deadline) -> Body:
        """Read the body, up to MOST bytes; at the limit the connection is broken off by the caller."""
        data = b""
        ended = False
        try:
            while len(data) < MOST and not ended:
                chunk = self._response.read1(_CHUNK)
                data += chunk
                ended = not chunk
        except (http.client.HTTPException, OSError, ValueError):  # cut off
            ended = False
        is_whole = ended and not self._response.length and not limit.expired()
        return Body(data[:MOST].decode(errors="replace"), is_whole)


@contextmanager
def get(
    connection: socket.socket, host: str, port: int, path: str, context: ssl.SSLContext | None = None
) -> Iterator[Response]:
    """Send a GET, and give its answer; over TLS with a context.

    Raises OSError, and NotHttpError for an answer that is not HTTP.
    """
    client = http.client.HTTPConnection(host, port)
    client.sock = context.wrap_socket(connection, server_hostname=host) if context else connection
    try:
        try:
            client.request("GET", path, headers={"User-Agent": "postroj", "Connection": "close"})
            response = client.getresponse()
        except http.client.RemoteDisconnected:  # it is an OSError, and no answer
            raise
        except http.client.HTTPException as error:
            raise NotHttpError(f"the reply is not HTTP ({error!r})") from error
        with response:
            yield Response(response)
    finally:
        client.close()


def speaks_http2(connection: socket.socket, host: str, context: ssl.SSLContext | None) -> bool:
    """Return whether a server speaks HTTP/2: chosen by ALPN over TLS, and its settings come first. Raises OSError."""
    if not context:
        return _sends_settings(connection)
    context.set_alpn_protocols(["h2"])
    with context.wrap_socket(connection, server_hostname=host) as tls:
        return tls.selected_alpn_protocol() == "h2" and _sends_settings(tls)


def _sends_settings(connection: socket.socket) -> bool:
    connection.sendall(_PREFACE + _SETTINGS)
    frame = b""
    while len(frame) < len(_SETTINGS) and (chunk := connection.recv(len(_SETTINGS) - len(frame))):
        frame += chunk
    return frame[3:] == _SETTINGS[3:]


def unverified() -> ssl.SSLContext:
    """Return a context that takes any certificate. Old systems speak old versions of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def verified(certificates: str) -> ssl.SSLContext:
    """Return a context that trusts some certificates (PEM), of which the last may be cut off. Raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    before, end, _ = certificates.rpartition(_END)
    try:
        context.load_verify_locations(cadata=before + end)
    except ValueError as error:
        raise OSError(f"there is no certificate: {error}") from error
    return context
