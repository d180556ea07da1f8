"""A real HTTP server on loopback for package repositories, which can be told to misbehave."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class RepositoryServer:
    """Serves a directory; what it does is changed by its attributes, at any time."""

    def __init__(self, port: int, directory: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.directory = directory
        """What is served."""
        self.on_request: Callable[[str], None] = lambda _name: None
        """Called before a file is sent, with its name."""
        self.is_gone = False
        """Answer 404 to all."""
        self.damaged: tuple[str, ...] = ()
        """Files whose name ends so are sent with their last bytes changed."""
        self.cut: tuple[str, ...] = ()
        """Of files whose name ends so half is sent, and then the connection closed."""


class _Handler(SimpleHTTPRequestHandler):
    server: "_Server"

    def do_GET(self) -> None:
        told = self.server.told
        path = Path(self.translate_path(self.path))
        if told.is_gone or not path.is_file():
            self.send_error(404)
            return
        told.on_request(path.name)
        body = path.read_bytes()
        if path.name.endswith(told.damaged):
            body = body[:-8] + bytes(8)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if path.name.endswith(told.cut) else body)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    told: RepositoryServer

    def finish_request(self, request: object, client_address: object) -> None:
        """Serve what is to be served now."""
        partial(_Handler, directory=str(self.told.directory))(request, client_address, self)  # type: ignore[arg-type]

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: clients hang up as they like."""


@contextmanager
def serving(directory: Path) -> Iterator[RepositoryServer]:
    """A server on a free port of 127.0.0.1, up inside the block."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.told = RepositoryServer(server.server_address[1], directory)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.told
        finally:
            server.shutdown()
            thread.join()
