"""Trees of other families: Debian with the real dnf 4, dnf 5, zypper or pacman and a small repository of its own.

No archive of these families can be reached where tests run. What stands in for their images has their package manager
as Debian builds it, and no apt; and, as an image for containers, no systemd, no D-Bus and no mount. Those are in its
repository: Debian's, packed for that family, signed, and depending on one another (standin_packages.sh).
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from kept import kept

PLACE = "standins-by-recipe"
"""Where they are in STATE."""

_SCRIPT = Path(__file__).with_name("standin_packages.sh")

_PACKAGES = ("zypper", "pacman-package-manager", "rpm", "createrepo-c", "libarchive-tools", "zstd", "passwd")
_DNF = {"bookworm": "dnf", "forky": "dnf5"}
"""By the Debian that a tree is made of, which has all of _PACKAGES as well."""
SUITES = tuple(_DNF)
# The mirror of what is not released may lag behind: for the tests that is no harm.
_LAGGING = '--aptopt=Acquire::Check-Valid-Until "false"'

_TOOLS = {
    "apt": ("apt", "apt-get", "apt-cache", "apt-key", "apt-mark", "apt-config"),
    "dnf": ("dnf", "dnf-3", "dnf4", "dnf5"),
    "zypper": ("zypper",),
    # Tests make repositories of their own.
    "pacman": ("pacman", "pacman-key", "pacman-conf", "repo-add", "bsdtar"),
    "rpm": ("rpm", "rpmbuild", "createrepo_c"),
}


class Standin(NamedTuple):
    """What makes a family's tree of the common one."""

    keeps: tuple[str, ...]
    """Whose tools it has."""
    files: dict[str, str]
    """What is written, by path; what an image for containers has set is among it."""
    commands: str = ""
    """For `sh`, in its root directory."""
    family: str = ""
    """The name of its family, if it is not the stand-in's own."""
    suite: str = "bookworm"


_FEDORA = Standin(
    keeps=("dnf", "rpm"),
    files={
        "etc/os-release": 'ID=fedora\nVERSION_ID=12\nPRETTY_NAME="a stand-in for Fedora"\n',
        "etc/dnf/dnf.conf": "[main]\ngpgcheck=1\nbest=False\ntsflags=nodocs\n",
        "etc/rpm/macros.image-language-conf": "%_install_langs en_US.UTF-8\n",
        "etc/yum.repos.d/standin.repo": (
            "[standin]\nname=stand-in\nbaseurl=file:///srv/repository/fedora\nenabled=1\ngpgcheck=1\n"
            "gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-standin\n"
        ),
    },
    # Images of Fedora 42 and newer have the one package that conflicts with systemd.
    commands=(
        "mkdir -p etc/pki/rpm-gpg; ln srv/standin.asc etc/pki/rpm-gpg/RPM-GPG-KEY-standin;"
        " cp -a var/lib/rpm var/lib/own; rm -r var/lib/rpm; mv var/lib/own var/lib/rpm;"
        " chroot . rpm --install --justdb --nosignature /srv/repository/fedora/systemd-standalone-sysusers.rpm"
    ),
)

STANDINS = {
    "dnf": _FEDORA,
    # As RHEL 8 and newer have it, without the other name
    "yum": _FEDORA._replace(
        commands=f"{_FEDORA.commands}; mv usr/bin/dnf-3 usr/bin/yum; rm usr/bin/dnf*; ln -s dnf/dnf.conf etc/yum.conf"
    ),
    # As Fedora 41 and newer have it: `dnf` is a link there, and what is a package of its own there is not installed.
    "dnf5": _FEDORA._replace(
        commands=f"{_FEDORA.commands}; ln -s dnf5 usr/bin/dnf; rm etc/dnf/libdnf5-plugins/local.conf",
        family="dnf",
        suite="forky",
    ),
    "zypper": Standin(
        keeps=("zypper", "rpm"),
        files={
            "etc/os-release": 'ID=opensuse-leap\nVERSION_ID=12\nPRETTY_NAME="a stand-in for openSUSE"\n',
            "etc/zypp/zypp.conf": "[main]\nrpm.install.excludedocs = yes\nsolver.onlyRequires = true\n",
            "etc/zypp/repos.d/standin.repo": (
                "[standin]\nname=stand-in\nbaseurl=dir:///srv/repository/suse\nenabled=1\nautorefresh=1\ngpgcheck=1\n"
            ),
        },
        # Where its distributor's keys are; here rpm does not know them yet
        commands=("mkdir -p usr/lib/rpm/gnupg/keys; ln srv/standin.asc usr/lib/rpm/gnupg/keys/gpg-pubkey-standin.asc"),
    ),
    # A snapshot of a day long gone
    "pacman": Standin(
        keeps=("pacman",),
        files={
            "etc/os-release": 'ID=arch\nPRETTY_NAME="a stand-in for Arch Linux"\n',
            "etc/pacman.conf": (
                "[options]\nArchitecture = auto\nCheckSpace\nSigLevel = Required DatabaseRequired\n"
                "LocalFileSigLevel = Optional\n"
                "NoExtract  = usr/share/gtk-doc/html/* usr/share/doc/*\nNoExtract  = etc/pacman.conf\n"
                "[standin]\nServer = file:///srv/repository/arch\n"
            ),
            "etc/pacman.d/mirrorlist": "Server = https://mirror.example.org/$repo/os/$arch\n",
        },
        # sh is bash, as there: scripts of packages are written for it.
        commands="ln -s ../proc/self/mounts etc/mtab; ln -sf bash usr/bin/sh",
    ),
}
"""By its name, which is that of its family if it does not say another one."""


def family_of(name: str) -> str:
    """Return the name of the family that a stand-in has to be found to be."""
    return (STANDINS[name].family if name in STANDINS else "") or name


@contextmanager
def standin(name: str) -> Iterator[Path]:
    """Yield the root directory of a stand-in, not to be written to; all of its suite are made if there are none."""
    with standins(STANDINS[name].suite) as directory:
        yield directory / name / "root"


@contextmanager
def standins(suite: str) -> Iterator[Path]:
    """Yield the directory of all that are made of a suite."""
    kinds = {name: kind for name, kind in STANDINS.items() if kind.suite == suite}
    recipe = f"{_SCRIPT.read_text()}{_PACKAGES}{_DNF[suite]}{kinds}{_TOOLS}"
    with kept(PLACE, recipe, lambda directory: _make(directory, suite, kinds)) as directory:
        yield directory


def copy(tree: Path, root: Path) -> None:
    """A copy to install in: package managers replace files, which may be links, and change some below /etc and /var."""
    subprocess.run(["cp", "--archive", "--link", tree, root], check=True)
    for part in ("etc", "var"):
        shutil.rmtree(root / part)
        subprocess.run(["cp", "--archive", tree / part, root / part], check=True)


def _make(directory: Path, suite: str, kinds: dict[str, Standin]) -> None:
    directory.mkdir()
    base = directory.parent / "root"
    packages = ",".join((_DNF[suite], *_PACKAGES))
    command = ["mmdebstrap", "--mode=root", "--variant=apt", f"--include={packages}", _LAGGING]
    command += [f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("doc", "man", "locale", "info")]
    command += [f"--customize-hook=sh '{_SCRIPT}' fetch \"$1\"", f"--customize-hook=copy-in '{_SCRIPT}' /srv"]
    command += [f"--customize-hook=chroot \"$1\" sh '/srv/{_SCRIPT.name}' build", suite, str(base)]
    _run(command, {"TMPDIR": str(directory.parent)})
    for name, kind in kinds.items():
        root = directory / name / "root"
        root.parent.mkdir()
        # Links to the files of one tree: nobody writes to them.
        _run(["cp", "--archive", "--link", str(base), str(root)])
        _finish(root, kind)


def _finish(root: Path, kind: Standin) -> None:
    for family, tools in _TOOLS.items():
        for tool in tools if family not in kind.keeps else ():
            with suppress(FileNotFoundError):
                (root / "usr/bin" / tool).unlink()
    for path, text in kind.files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        # What is there already is a link to a file of the other trees.
        with suppress(FileNotFoundError):
            file.unlink()
        file.write_text(text)
    _run(["sh", "-ec", f'cd "$1"; {kind.commands}', "sh", str(root)])


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    merged = {**os.environ, **(environment or {})}
    done = subprocess.run(command, capture_output=True, text=True, env=merged, check=False)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-6000:]}"
