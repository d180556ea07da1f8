"""Real images in OCI layouts, made once and kept with the pulled ones: of five suites, slim, and of one program."""

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from support import STATE

LAYOUTS = "oci-layouts"
SUITES = ("bullseye", "bookworm", "trixie", "forky", "sid")
SLIM, PROGRAM, ALPINE = "slim", "program", "alpine"

PUBLISHED = "published"
"""Where in STATE the files are that their distributors publish."""
_ALPINE = Path(STATE, PUBLISHED, "alpine-minirootfs-3.20.3-x86_64.tar.gz")
_ALPINE_URL = f"https://dl-cdn.alpinelinux.org/alpine/v3.20/releases/x86_64/{_ALPINE.name}"
_ALPINE_SHA256 = "d4e6fd67dcf75e40c451560ac7265166c2b72a0f38ddc9aae756a7de3d1efa0c"
_FETCH_SECONDS = 60.0
_SYSTEMD = "--include=systemd,systemd-sysv,dbus,mount"
# This mirror of what is not released may lag behind: for the tests that is no harm.
_LAGGING = '--aptopt=Acquire::Check-Valid-Until "false"'
# What Docker's images have, and what would be in the way of a package under test.
_AS_DOCKER_HAS_IT = r"""
printf '#!/bin/sh\nexit 101\n' >"$1/usr/sbin/policy-rc.d"
chmod 755 "$1/usr/sbin/policy-rc.d"
echo 'Acquire::GzipIndexes "true";' >"$1/etc/apt/apt.conf.d/docker-gzip-indexes"
"""
_STATIC = "/usr/sbin/ldconfig"
"""A program that takes no library: the one that makes their cache."""


def layout(name: str) -> Path:
    """The layout of an image, in which it is tagged `it`."""
    path = Path(STATE, LAYOUTS, name)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="layout-", dir=STATE) as directory:
            made, tar = Path(directory, "layout"), Path(directory, "tree.tar")
            _make_tar(name, tar)
            run("umoci", "init", "--layout", made)
            run("umoci", "new", "--image", f"{made}:it")
            run("umoci", "raw", "add-layer", "--image", f"{made}:it", tar)
            with suppress(OSError):  # somebody else was quicker
                made.rename(path)
    return path


def fetch_alpine() -> None:
    """Fetch the published mini root file system of Alpine Linux once, if its server can be reached.

    POSTROJ_TEST_ALPINE names a file to take instead.
    """
    if _ALPINE.exists():
        return
    _ALPINE.parent.mkdir(parents=True, exist_ok=True)
    own = os.environ.get("POSTROJ_TEST_ALPINE")
    url = Path(own).absolute().as_uri() if own else _ALPINE_URL
    try:
        with urllib.request.urlopen(url, timeout=_FETCH_SECONDS) as response:
            content = response.read()
    except OSError:
        return
    assert hashlib.sha256(content).hexdigest() == _ALPINE_SHA256, f"checksum mismatch: {url}"
    part = _ALPINE.with_name(f"{_ALPINE.name}.{os.getpid()}")
    part.write_bytes(content)
    part.rename(_ALPINE)


def alpine() -> Path:
    """Return the published mini root file system of Alpine Linux; skip the test if there is none."""
    if not _ALPINE.exists():
        pytest.skip(f"{_ALPINE.name} could not be fetched; POSTROJ_TEST_ALPINE names a file to take instead")
    return _ALPINE


def run(*words: str | Path, **environment: str) -> str:
    """Run a host program to its end; returns what it printed."""
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, **environment}, check=False)
    assert done.returncode == 0, f"{words[0]}: {done.stdout}{done.stderr}"
    return done.stdout


def _make_tar(name: str, tar: Path) -> None:
    temporary = str(tar.parent)
    if name == PROGRAM:
        with tarfile.open(tar, "w") as archive:
            archive.add(_STATIC, "program")
    elif name == ALPINE:
        with open(tar, "wb") as file:
            subprocess.run(["gzip", "--decompress", "--stdout", alpine()], stdout=file, check=True)
    elif name == SLIM:
        hook = f"--customize-hook={_AS_DOCKER_HAS_IT}"
        run("mmdebstrap", "--mode=root", "--variant=minbase", hook, "bookworm", tar, TMPDIR=temporary)
    elif (pulled := Path(STATE, "images", f"debian-{name}")).exists():  # which was bootstrapped: once is enough
        device_nodes = "--exclude=./dev/*"
        run("tar", "--create", f"--file={tar}", f"--directory={pulled}/", "--xattrs", device_nodes, ".")
    else:
        run("mmdebstrap", "--mode=root", "--variant=apt", _SYSTEMD, _LAGGING, name, tar, TMPDIR=temporary)


def tree(name: str, target: Path) -> Path:
    """The same as a directory."""
    run("umoci", "raw", "unpack", "--image", f"{layout(name)}:it", target)
    return target


def forget(name: str) -> None:
    """Have it made anew."""
    shutil.rmtree(Path(STATE, LAYOUTS, name), ignore_errors=True)
