"""A GET over a connection, in plain HTTP or TLS, and what is said of the answer."""

import http.client
import socket
import ssl
from collections.abc import Sequence

BAD_REQUEST = 400
_SERVER_ERRORS = 500


class AnswerError(OSError):
    """There is an answer, and it is not the right one."""

    def __init__(self, what: str, expected: str = "", *, status: int = 0) -> None:
        super().__init__(what)
        self.what = what
        """The answer: `answered 503 Service Unavailable`."""
        self.expected = expected
        """What would have been right; empty if the answer is not HTTP."""
        self.status = status
        """The HTTP status; 0 if the answer is not HTTP."""


def get(connection: socket.socket, host: str, port: int, path: str, *, tls: bool) -> tuple[int, str]:
    """Return the HTTP status and its reason. Raises OSError, and AnswerError if the answer is not HTTP."""
    if tls:
        connection = _context().wrap_socket(connection, server_hostname=host)
    client = http.client.HTTPConnection(host, port)
    client.sock = connection
    try:
        client.request("GET", path, headers={"User-Agent": "postroj", "Connection": "close"})
        response = client.getresponse()
    except http.client.RemoteDisconnected:  # it is an OSError, and no answer
        raise
    except http.client.HTTPException as error:
        raise AnswerError(f"the reply is not HTTP ({error!r})") from error
    finally:
        client.close()
    return response.status, response.reason[:100]


def judge(status: int, reason: str, statuses: Sequence[int]) -> None:
    """Raise AnswerError if an HTTP status is not one of those that are right, or below 500 if none is given."""
    if statuses and status not in statuses:
        raise AnswerError(f"answered {status} {reason}", " or ".join(map(str, statuses)), status=status)
    if not statuses and status >= _SERVER_ERRORS:
        raise AnswerError(f"answered {status} {reason}", f"a status below {_SERVER_ERRORS}", status=status)


def _context() -> ssl.SSLContext:
    # It is the service that is under test; whether its certificate is trusted is a question of its users'.
    # Old systems speak old versions of TLS.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context
