"""A signed repository of RPM packages, and a real HTTP server on loopback for it that can be told to misbehave."""

import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# In a tree with createrepo_c: "$1" is the repository's directory there, "$2" a name for its key.
_MAKE = r"""
export GNUPGHOME="/srv/gnupg-$2"
mkdir -m 700 "$GNUPGHOME"
trap 'gpgconf --kill all; rm -rf "$GNUPGHOME"' EXIT
gpg --batch --quiet --passphrase '' --quick-generate-key "$2" rsa2048 sign never
rpmsign --define '__gpg /usr/bin/gpg' --define "_gpg_name $2" --addsign "$1"/*.rpm >&2
createrepo_c --quiet --no-database "$1"
gpg --batch --armor --detach-sign "$1/repodata/repomd.xml"
gpg --batch --armor --export "$2" >"$1/repodata/repomd.xml.key"
"""

_BUILD = "rpmbuild -bb --quiet --define '_topdir /srv/build' --define '_rpmdir /srv/built' /srv/spec >&2"


def make(root: Path, name: str, packages: Sequence[Path]) -> Path:
    """Make a repository of packages in a tree, signed by a key of its own, and return its directory."""
    directory = root / "srv" / name
    directory.mkdir()
    for package in packages:
        shutil.copy(package, directory)
    _run(root, _MAKE, f"/srv/{name}", name)
    return directory


def rpmbuild(root: Path, spec: str) -> Path:
    """Build a package from a spec file by a tree's rpmbuild, and return its path."""
    (root / "srv/spec").write_text(spec)
    shutil.rmtree(root / "srv/built", ignore_errors=True)
    _run(root, _BUILD)
    (built,) = (root / "srv/built").rglob("*.rpm")
    return built


def _run(root: Path, script: str, *words: str) -> None:
    command = ["chroot", str(root), "sh", "-ec", script, "sh", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


class RepositoryServer:
    """Serves a directory below each path; what it does is changed by its attributes, at any time."""

    def __init__(self, port: int, directory: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.directory = directory
        """What is served."""
        self.is_gone = False
        """Answer 404 to all."""
        self.damaged = ""
        """Files whose name ends so are sent with their last bytes changed."""
        self.cut = ""
        """Of files whose name ends so half is sent."""


class _Handler(SimpleHTTPRequestHandler):
    server: "_Server"

    def do_GET(self) -> None:
        told = self.server.told
        path = Path(self.translate_path(self.path))
        if told.is_gone or not path.is_file():
            self.send_error(404)
            return
        body = path.read_bytes()
        if told.damaged and path.name.endswith(told.damaged):
            body = body[:-8] + bytes(8)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if told.cut and path.name.endswith(told.cut) else body)
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
