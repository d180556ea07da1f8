"""An address of http or https answers a GET."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, NamedTuple

from postroj.contract import Machine
from postroj.deadline import Deadline
from postroj.probe.judge import Scene, Seen, of
from postroj.probe.network import Address, connected, other_scheme, parse, unanswered, wrong_answer
from postroj.probe.values import NUMBER, TEXT, Key, Named, Numbers, Text, Timeout, named, numbers, shown, text, wrong

if TYPE_CHECKING:
    import ssl

    from postroj.probe.http import Body, Response

_STORES = (
    *("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"),
    *("/etc/ssl/ca-bundle.pem", "/etc/ca-certificates/extracted/tls-ca-bundle.pem"),
)
"""Where the certificates that a guest trusts are: Debian and Arch, Fedora, SUSE, Arch."""
_SECONDS = 10.0


def _address(operator: str, written: str) -> Address:
    address = parse(written)
    if address.scheme == "tcp":
        raise ValueError("is not an address of http or https")
    return address


def _verify(operator: str, written: str) -> str:
    if written not in ("yes", "no") and not written.startswith("/"):
        raise ValueError("is none of yes, no and an absolute path")
    return written


def _yes(operator: str, written: str) -> bool:
    if written != "yes":
        raise ValueError("can only be yes")
    return True


class Http(NamedTuple):
    """An address of http or https answers a GET; redirects are not followed."""

    url: Annotated[Address, Key(_address, "http http://localhost:3000/health", "the address")]
    status: Annotated[
        Numbers | None,
        Key(
            numbers("an HTTP status", 100, 599),
            "status=200 or status=200,204",
            "its status; without this, any below 500 passes",
            NUMBER,
        ),
    ] = None
    header: Annotated[
        tuple[Named, ...],
        Key(named, "header~='Content-Type=^text/'", "a header, as NAME=TEXT", TEXT, repeatable=True),
    ] = ()
    body: Annotated[
        tuple[Text, ...], Key(text, "body~=ok", "the body, without its last line break", TEXT, repeatable=True)
    ] = ()
    verify: Annotated[
        str,
        Key(
            _verify,
            "verify=yes",
            "`yes`: the guest must trust the certificate; a path: the authorities are in this file of the guest",
        ),
    ] = "no"
    http2: Annotated[
        bool,
        Key(
            _yes,
            "http2=yes",
            "the server speaks HTTP/2 too: chosen by ALPN, and its SETTINGS frame comes. The GET is HTTP/1.1",
        ),
    ] = False
    timeout: Timeout = None

    def look(self, scene: Scene, until: Deadline) -> Seen:
        """Look once; see Check."""
        from postroj.probe.http import BAD_REQUEST, SERVER_ERRORS, get, speaks_http2

        address = self.url
        try:
            context = self._context(scene.machine, until)
            with (
                connected(scene.machine, address, until) as (connection, limit),
                get(connection, address.host, address.port, address.path, context) as response,
            ):
                if not self.status and response.status >= SERVER_ERRORS:
                    expected = f"a status below {SERVER_ERRORS}"
                    return wrong_answer(scene.machine, address, f"answered {response.answer}", expected)
                body = response.body(limit) if self.body else None
                clauses = [*self._wrong(response), *(self._wrong_in(body) if body else ())]
                is_asked = self.status or self.header or self.body
                seen = of(f"answers {response.answer}", clauses, _shown(response, body) if is_asked else "")
            if seen.passed and self.http2:
                with connected(scene.machine, address, until) as (connection, _):
                    if not speaks_http2(connection, address.host, context):
                        return Seen(False, "http2: expected yes, got no")
            if seen.passed and not self.status and response.status == BAD_REQUEST:
                # A server of TLS may answer plain HTTP so.
                return seen._replace(detail=f"{seen.detail}{other_scheme(scene.machine, address)}")
            return seen
        except OSError as error:
            return unanswered(scene.machine, address, error)

    def _wrong(self, response: "Response") -> Iterator[str]:
        if self.status and not self.status.fits(response.status):
            yield f"status: expected {self.status.expected()}, got {response.answer}"
        for name, expected in self.header:
            values = [value for key, value in response.headers if key.lower() == name.lower()]
            fits = [expected.fits(value) for value in values]
            if all(fits) if expected.is_negated else any(fits):
                continue
            got = shown(values[fits.index(False)]) if values else "no such header"
            yield f"header {name}: expected {expected.expected()}, got {got}"

    def _wrong_in(self, body: "Body") -> Iterator[str]:
        for expected in self.body:
            if body.is_whole or (expected.operator == "~=" and expected.fits(body.text)):
                yield wrong("body", expected, body.text.removesuffix("\n"))
            else:
                yield f"body: expected {expected.expected()}, got one without an end, or longer than 1 MiB"

    def _context(self, machine: Machine, until: Deadline) -> "ssl.SSLContext | None":
        from postroj.probe.http import unverified, verified

        if self.url.scheme == "http":
            return None
        if self.verify == "no":
            return unverified()
        files = _STORES if self.verify == "yes" else (self.verify,)
        # What cannot be read prints nothing, and what is read is bounded.
        found = machine.command(
            ["sh", "-c", 'for file; do head -c 262144 -- "$file" 2>/dev/null && break; done', "sh", *files],
            deadline=until.sooner(_SECONDS),
        )
        if not found.output.strip():
            raise OSError(f"the machine has no certificates to trust: {files[0]}")
        return verified(found.output)


def _shown(response: "Response", body: "Body | None") -> str:
    lines = [response.answer, *(f"{name}: {value}" for name, value in response.headers)]
    return "\n".join([*lines, "", body.text[:4000]] if body else lines)
