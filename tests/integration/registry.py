"""A real registry server with a real image in it: Debian without systemd, as the Docker images of it are."""

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from moments import started, until
from support import STATE

_REFERENCE = "debian/eol:buster"

_CONFIG = """
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {storage}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""

_REGISTRIES = """
[[registry]]
prefix = "docker.io"
location = "127.0.0.1:{port}{path}"
insecure = true
"""

# What Docker's images have, and what would be in the way of a package under test.
_AS_DOCKER_HAS_IT = r"""
printf '#!/bin/sh\nexit 101\n' >"$1/usr/sbin/policy-rc.d"
chmod 755 "$1/usr/sbin/policy-rc.d"
echo 'Acquire::GzipIndexes "true";' >"$1/etc/apt/apt.conf.d/docker-gzip-indexes"
"""


class Registry:
    """A registry server on a port of the loopback interface."""

    def __init__(self, port: int) -> None:
        self.port = port

    def home(self, directory: Path, path: str = "") -> dict[str, str]:
        """Settings of a user for whom docker.io is this registry, or a `path` in it."""
        configuration = directory / ".config/containers/registries.conf"
        configuration.parent.mkdir(parents=True)
        configuration.write_text(_REGISTRIES.format(port=self.port, path=path))
        return {"HOME": str(directory), "XDG_CONFIG_HOME": str(directory / ".config")}


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextmanager
def registry() -> Iterator[Registry]:
    """A running registry that has the image."""
    image = layout()
    with tempfile.TemporaryDirectory(prefix="registry-", dir=STATE) as directory:
        port = free_port()
        config = Path(directory, "config.yml")
        config.write_text(_CONFIG.format(storage=directory, port=port))
        environment = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
        with started(["docker-registry", "serve", config], environment, stderr=subprocess.DEVNULL) as server:
            until(lambda: _answers(port) or server.poll() is not None, "the registry answers")
            assert server.poll() is None
            _run(
                "skopeo",
                "copy",
                "--dest-tls-verify=false",
                f"oci:{image}:it",
                f"docker://127.0.0.1:{port}/{_REFERENCE}",
            )
            yield Registry(port)


def layout() -> Path:
    """The image in an OCI layout; made once, and kept with the pulled images."""
    path = Path(STATE, "oci-layout")
    if not path.exists():
        with tempfile.TemporaryDirectory(prefix="layout-", dir=STATE) as directory:
            tree, made = Path(directory, "tree.tar"), Path(directory, "layout")
            hook = f"--customize-hook={_AS_DOCKER_HAS_IT}"
            _run("mmdebstrap", "--mode=root", "--variant=minbase", hook, "bookworm", tree, TMPDIR=directory)
            _run("umoci", "init", "--layout", made)
            _run("umoci", "new", "--image", f"{made}:it")
            _run("umoci", "raw", "add-layer", "--image", f"{made}:it", tree)
            with suppress(OSError):  # somebody else was quicker
                made.rename(path)
    return path


def _run(*words: str | Path, **environment: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, **environment}, check=False)
    assert done.returncode == 0, f"{words[0]}: {done.stdout}{done.stderr}"


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
