"""A catalogue of boxes on loopback, as VAGRANT_SERVER_URL names it: "Creating a Base Box" and "Box Versioning"."""

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class BoxServer:
    """Serves boxes that are files."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.files: dict[str, Path] = {}
        """By their paths at the server."""
        self.boxes: dict[str, list[tuple[str, str, str]]] = {}
        """By OWNER/BOX: version, provider, path at the server."""
        self.raw: dict[str, bytes] = {}
        """By OWNER/BOX: what is answered in place of a description."""
        self.asked: list[str] = []

    def offer(self, name: str, version: str, file: Path, provider: str = "libvirt") -> None:
        """Add a box."""
        path = f"/files/{len(self.files)}.box"
        self.files[path] = file
        self.boxes.setdefault(name, []).append((version, provider, path))

    def description(self, name: str) -> bytes | None:
        """Return what the server says of a box."""
        if name in self.raw or name not in self.boxes:
            return self.raw.get(name)
        versions = [
            {"version": version, "providers": [{"name": provider, "url": self.url + path}]}
            for version, provider, path in self.boxes[name]
        ]
        return json.dumps({"name": name, "versions": versions}).encode()


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"

    def do_HEAD(self) -> None:
        self._answer(has_body=False)

    def do_GET(self) -> None:
        self._answer(has_body=True)

    def _answer(self, *, has_body: bool) -> None:
        told = self.server.told
        path = self.path.partition("?")[0]
        told.asked.append(path)
        if file := told.files.get(path):
            self._begin("application/octet-stream", file.stat().st_size)
            if has_body:
                with file.open("rb") as opened:
                    shutil.copyfileobj(opened, self.wfile)
        elif (body := told.description(path.strip("/"))) is not None:
            self._begin("application/json", len(body))
            if has_body:
                self.wfile.write(body)
        else:
            self.send_error(404)

    def _begin(self, kind: str, size: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(size))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    told: BoxServer

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: clients hang up as they like."""


@contextmanager
def serving_boxes() -> Iterator[BoxServer]:
    """Serve them for the block."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.told = BoxServer(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.told
        finally:
            server.shutdown()
            thread.join()
