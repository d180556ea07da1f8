"""A real registry server on loopback, with TLS and a login, whose images are real ones."""

import json
import os
import socket
import subprocess
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from layouts import layout, run
from moments import started, until
from support import STATE

_USER, _PASSWORD = "tester", "correct horse"
_HTPASSWD = f"{_USER}:$2y$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e\n"
"""bcrypt, as docker-registry wants it."""

_CONFIG = """
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {directory}/storage}}}}
auth: {{htpasswd: {{realm: test, path: {directory}/htpasswd}}}}
http: {{addr: "127.0.0.1:{port}", tls: {{certificate: {directory}/ca.crt, key: {directory}/ca.key}}}}
"""

_REGISTRIES = """
[[registry]]
prefix = "docker.io"
location = "{address}{path}"
insecure = {insecure}
"""

_MIRRORS = """
[[registry]]
prefix = "docker.io"
location = "docker.io"
[[registry.mirror]]
location = "{address}{path}"
insecure = {insecure}
"""


class Registry:
    """A registry server on a port of the loopback interface."""

    def __init__(self, port: int, certificate: Path | None = None) -> None:
        self.address = f"127.0.0.1:{port}"
        self._certificate = certificate

    def push(self, name: str, reference: str) -> str:
        """Put an image of the layouts into it; returns its digest."""
        with tempfile.TemporaryDirectory() as directory:
            digest = Path(directory, "digest")
            options = ["--dest-tls-verify=false", f"--dest-creds={_USER}:{_PASSWORD}", f"--digestfile={digest}"]
            run("skopeo", "copy", *options, f"oci:{layout(name)}:it", f"docker://{self.address}/{reference}")
            return digest.read_text().strip()

    def home(
        self, directory: Path, path: str = "", *, login: bool = True, trust: bool = True, mirror: bool = False
    ) -> dict[str, str]:
        """Settings of a user for whom docker.io is this registry, or a `path` in it, or for whom this is its mirror."""
        configuration = directory / ".config/containers"
        configuration.mkdir(parents=True)
        insecure = str(self._certificate is None).lower()
        text = (_MIRRORS if mirror else _REGISTRIES).format(address=self.address, path=path, insecure=insecure)
        (configuration / "registries.conf").write_text(text)
        if self._certificate and trust:
            certificates = configuration / "certs.d" / self.address
            certificates.mkdir(parents=True)
            (certificates / "ca.crt").write_bytes(self._certificate.read_bytes())
        authentication = directory / "auth.json"
        secret = b64encode(f"{_USER}:{_PASSWORD}".encode()).decode()
        authentication.write_text(json.dumps({"auths": {self.address: {"auth": secret}} if login else {}}))
        return {
            "HOME": str(directory),
            "XDG_CONFIG_HOME": str(directory / ".config"),
            "REGISTRY_AUTH_FILE": str(authentication),
        }


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextmanager
def registry() -> Iterator[Registry]:
    """A running registry, empty at first."""
    with tempfile.TemporaryDirectory(prefix="registry-", dir=STATE) as path:
        directory, port = Path(path), free_port()
        certificate = directory / "ca.crt"
        key: list[str | Path] = [
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-keyout",
            directory / "ca.key",
        ]
        names = ["-subj", "/CN=registry", "-addext", "subjectAltName=IP:127.0.0.1"]
        run("openssl", "req", "-x509", *key, "-days", "2", *names, "-out", certificate)
        (directory / "htpasswd").write_text(_HTPASSWD)
        config = directory / "config.yml"
        config.write_text(_CONFIG.format(directory=directory, port=port))
        environment = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
        with started(["docker-registry", "serve", config], environment, stderr=subprocess.DEVNULL) as server:
            until(lambda: _answers(port) or server.poll() is not None, "the registry answers")
            assert server.poll() is None
            yield Registry(port, certificate)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
