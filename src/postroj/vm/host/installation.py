"""What the Linux VM has: Debian packages of its own archive, and postroj, as it runs here, with its libraries.

The libraries are brought by the pip of this host, as Linux wheels for the VM's Python: so the VM needs no package
index.

    /usr/local/lib/postroj/libraries    what postroj imports
    /usr/local/lib/postroj/DIGEST       the files of postroj, by their digest
    /usr/local/lib/postroj/version      the digest of those that are used
"""

import hashlib
import importlib.metadata
import io
import os
import re
import sys
import tarfile
import tempfile
from collections.abc import Iterator

import postroj
from postroj import process
from postroj.errors import HostError
from postroj.events import Step, emit
from postroj.vm.host.guest import ask, plain, send
from postroj.vm.records import HOST_VM
from postroj.vm.ssh import Connection

_TOOLS = (
    *("systemd-nspawn", "setpriv", "bash", "mount", "ip", "nft", "mmdebstrap", "skopeo", "umoci"),
    *("tar", "gzip", "xz", "zstd", "bzip2"),
)
_OTHERS = ("python3", "ca-certificates", "debian-archive-keyring", "gpg")
# The scripts are fixed; what differs are their arguments.
_PACKAGES = """
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install --yes --no-install-recommends -- "$@"
"""
_EXTRACT = 'set -eu; rm -rf -- "$1"; mkdir -p -- "$1"; exec tar --extract --no-same-owner --directory="$1"'
# Files of another version stay for a day: a command may run with them.
_ACTIVATE = """
set -eu
cd /usr/local/lib/postroj
paths=$(python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
mkdir -p -- "$paths"
printf '%s\\n' "$PWD/$1" "$PWD/libraries" >"$paths/postroj.pth"
printf '%s\\n' '#!/usr/bin/python3' 'from postroj.__main__ import main' 'main()' >/usr/local/bin/postroj
chmod 755 /usr/local/bin/postroj
printf '%s\\n' "$1" >version
find . -mindepth 1 -maxdepth 1 -type d -mmin +1440 ! -name "$1" ! -name libraries -exec rm -rf -- {} +
"""
_PLATFORM = 'import sys, platform; print(*sys.version_info[:2], sep=".", end=" "); print(platform.machine())'
_GLIBC = ("manylinux_2_17", "manylinux2014", "manylinux_2_28", "manylinux_2_34")
"""The wheels that Debian 12 can use, which has glibc 2.36."""
_ROOT = "/usr/local/lib/postroj"


def install(connection: Connection) -> None:
    """Install all of it. Raises HostError."""
    packages = [process.TOOLS[tool][0] for tool in _TOOLS]
    emit(Step(HOST_VM, "installing Debian packages in it"))
    words = ["sh", "-c", _PACKAGES, "sh", *dict.fromkeys([*packages, *_OTHERS])]
    process.follow(connection.argv(words), subject=HOST_VM)
    emit(Step(HOST_VM, "installing postroj in it"))
    _install_libraries(connection)
    renew(connection)


def digest() -> str:
    """Return what tells this postroj from another version of it."""
    total = hashlib.sha256()
    for name, data in _files():
        total.update(f"{name}\0{len(data)}\0".encode())
        total.update(data)
    return total.hexdigest()[:16]


def renew(connection: Connection) -> None:
    """Bring postroj as it runs here. Raises HostError."""
    name = digest()

    def write(archive: tarfile.TarFile) -> None:
        for path, data in _files():
            member = tarfile.TarInfo(f"postroj/{path}")
            member.size, member.mode = len(data), 0o644
            archive.addfile(member, io.BytesIO(data))

    send(connection, ["sh", "-c", _EXTRACT, "sh", f"{_ROOT}/{name}"], write)
    ask(connection, ["sh", "-c", _ACTIVATE, "sh", name])


def _install_libraries(connection: Connection) -> None:
    told = ask(connection, ["python3", "-c", _PLATFORM]).split()
    if len(told) != 2 or not re.fullmatch(r"3\.[0-9]{1,3}", told[0]) or not re.fullmatch(r"[a-z0-9_]{1,20}", told[1]):
        raise HostError("the Linux VM has no Python of a known version", why=" ".join(told)[:500])
    version, architecture = told
    with tempfile.TemporaryDirectory() as directory:
        words = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", f"--target={directory}"]
        words += ["--only-binary=:all:", "--implementation=cp", f"--python-version={version}"]
        words += [f"--platform={glibc}_{architecture}" for glibc in _GLIBC]
        own = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        try:
            process.follow([*words, *_requirements()], subject=HOST_VM, env=process.environment(**own))
        except HostError as error:
            hint = f"{sys.executable} -m pip has to work: it brings the libraries of postroj for the VM"
            raise HostError("the libraries of postroj cannot be downloaded", why=error.why, hint=hint) from error
        send(
            connection,
            ["sh", "-c", _EXTRACT, "sh", f"{_ROOT}/libraries"],
            lambda archive: archive.add(directory, ".", filter=plain),
        )


def _requirements() -> list[str]:
    """Return what postroj needs. Without their markers, which pip would take for this host and not for the VM."""
    try:
        needed = importlib.metadata.requires("postroj") or []
    except importlib.metadata.PackageNotFoundError:
        raise HostError("what postroj needs is not known: it is not installed by pip or its like") from None
    return [one.partition(";")[0].strip() for one in needed if "extra ==" not in one]


def _files() -> Iterator[tuple[str, bytes]]:
    """Yield the files of postroj, by their paths in it."""
    root = os.path.dirname(os.path.abspath(postroj.__file__))
    for directory, below, names in os.walk(root):
        below[:] = sorted(name for name in below if name != "__pycache__")
        for name in sorted(names):
            path = os.path.join(directory, name)
            with open(path, "rb") as file:
                yield os.path.relpath(path, root), file.read()
