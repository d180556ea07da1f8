"""A real HTTP server on loopback that can be told to misbehave."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class WebServer:
    """Serves one content under each path; what it does is changed by its attributes, at any time."""

    def __init__(self, content: bytes, port: int) -> None:
        self.content = content
        self.url = f"http://127.0.0.1:{port}"
        self.status = 200
        """Anything but 200 is answered to all requests."""
        self.cut_after = 0
        """Send so many bytes of each answer only, then hang up; 0 is all."""
        self.stalls = False
        """Send half of each answer, then neither go on nor hang up until the server ends."""
        self.dribbles = False
        """Send a byte of each answer now and then, so that it never ends, and never pauses for long."""
        self.validators = True
        """Whether answers have an ETag."""
        self.requests: list[dict[str, str]] = []
        """The headers of each request so far, by their names in lower case."""
        self.answers: list[int] = []
        """The status of each answer so far."""
        self.ended = threading.Event()

    @property
    def etag(self) -> str:
        """Changes with the content."""
        return f'"{hashlib.sha256(self.content).hexdigest()[:16]}"'


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"

    def do_GET(self) -> None:
        told = self.server.told
        told.requests.append({name.lower(): value for name, value in self.headers.items()})
        status, body = self._answer(told)
        told.answers.append(status)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if told.validators:
            self.send_header("ETag", told.etag)
        if status == 206:
            first = len(told.content) - len(body)
            self.send_header("Content-Range", f"bytes {first}-{len(told.content) - 1}/{len(told.content)}")
        self.end_headers()
        if told.stalls:
            self.wfile.write(body[: len(body) // 2])
            told.ended.wait()
        elif told.dribbles:
            for byte in body:
                self.wfile.write(bytes([byte]))
                told.ended.wait(0.05)
        else:
            self.wfile.write(body[: told.cut_after or len(body)])
        self.close_connection = True

    def _answer(self, told: WebServer) -> tuple[int, bytes]:
        if told.status != 200:
            return told.status, b"nothing here\n"
        if told.validators and self.headers.get("If-None-Match") == told.etag:
            return 304, b""
        wanted = self.headers.get("Range", "")
        if wanted.startswith("bytes=") and wanted.endswith("-"):
            if not told.validators or self.headers.get("If-Range", told.etag) != told.etag:
                return 200, told.content
            first = int(wanted.removeprefix("bytes=").removesuffix("-"))
            return (206, told.content[first:]) if first < len(told.content) else (416, b"")
        return 200, told.content

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what it was asked is in `requests`."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    told: WebServer

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: clients hang up as they like."""


@contextmanager
def serving(content: bytes) -> Iterator[WebServer]:
    """A server on a free port of 127.0.0.1, up inside the block."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.told = WebServer(content, server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.told
        finally:
            server.told.ended.set()
            server.shutdown()
            thread.join()
