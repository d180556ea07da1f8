"""A registry on loopback that serves an image of the layouts, and can be told to misbehave as real ones do."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from layouts import layout

_OCI = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"


class BadRegistry:
    """Serves one image under every name; what it does is changed by its attributes, at any time."""

    def __init__(self, port: int, blobs: Path, manifest: dict[str, Any]) -> None:
        self.address = f"127.0.0.1:{port}"
        self.blobs = blobs
        self.manifest = manifest
        """The descriptor of its manifest."""
        self.status = 200
        """Anything but 200 is answered to all requests."""
        self.cut = False
        """Hang up in the middle of each layer."""
        self.wrong_manifest = False
        """Answer another manifest than the one whose digest is asked for."""
        self.wrong_blob = False
        """Answer other bytes than those whose digest is asked for."""
        self.index_for = ""
        """Answer an index that has the image for this architecture only."""
        self.layers_begun = 0
        """How many times a layer was asked for."""


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        told = self.server.told
        *_, kind, name = self.path.split("/")
        if told.status != 200:
            self._answer(told.status, b'{"errors": []}', "application/json")
        elif kind == "manifests":
            self._manifest(name)
        elif kind == "blobs":
            self._blob(name)
        else:
            self._answer(200, b"{}", "application/json")

    do_HEAD = do_GET

    def _manifest(self, name: str) -> None:
        told = self.server.told
        if told.index_for and name != told.manifest["digest"]:
            platform = {"os": "linux", "architecture": told.index_for}
            index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": [{**told.manifest, "platform": platform}]}
            self._answer(200, json.dumps(index).encode(), _INDEX)
            return
        content = self._read(told.manifest["digest"])
        self._answer(200, content + b" " if told.wrong_manifest and name.startswith("sha256:") else content, _OCI)

    def _blob(self, name: str) -> None:
        told = self.server.told
        content = self._read(name)
        if content.startswith(b"{"):  # the configuration
            self._answer(200, content, "application/octet-stream")
            return
        told.layers_begun += 1
        if told.wrong_blob:
            content = bytes(len(content))
        self._answer(200, content, "application/octet-stream", cut=told.cut)

    def _read(self, digest: str) -> bytes:
        return (self.server.told.blobs / digest.removeprefix("sha256:")).read_bytes()

    def _answer(self, status: int, content: bytes, type: str, *, cut: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Type", type)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Docker-Distribution-API-Version", "registry/2.0")
        self.send_header("Retry-After", "0")  # skopeo waits as it is told, with 429
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="test"')
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    told: BadRegistry


@contextmanager
def bad_registry(image: str) -> Iterator[BadRegistry]:
    """One that serves an image of the layouts."""
    path = layout(image)
    (manifest,) = json.loads((path / "index.json").read_text())["manifests"]
    server = _Server(("127.0.0.1", 0), _Handler)
    server.told = BadRegistry(server.server_port, path / "blobs/sha256", manifest)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
