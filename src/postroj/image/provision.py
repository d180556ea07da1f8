"""Making a pulled tree bootable by its family's package manager, and settled; and what it tells of itself."""

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from postroj import family as families
from postroj.container.guest.guestfs import open_beneath
from postroj.container.tree import run_in_tree
from postroj.errors import ImageError
from postroj.events import Phase, emit
from postroj.family import Family
from postroj.image import settle
from postroj.image.source import host_architecture

NO_FAMILY = "none"
"""The family of an image without a package manager, such as one of a single program."""

_SHELLS = ("bin/sh", "usr/bin/sh")
_SYSTEMD = ("usr/lib/systemd/systemd", "lib/systemd/systemd")
_NEEDED = (
    _SYSTEMD,
    ("usr/lib/systemd/system/dbus.socket", "lib/systemd/system/dbus.socket"),
    ("usr/bin/dbus-daemon", "usr/bin/dbus-broker-launch"),
    ("usr/bin/mount", "bin/mount"),
)
"""What the scripts that install look for as well: see family/__init__.py."""
_ENTITLEMENTS = "etc/pki/entitlement"
_OUTPUT = 4000
_EACH = 'for script; do sh -c "$script" || exit; done'


class Facts(NamedTuple):
    """What a tree tells of itself, as Image has it."""

    family: str
    package_manager: str
    architecture: str
    systemd: str


def provision(subject: str, root: str) -> Facts:
    """Install what a boot needs, unless it is there, and settle the tree. One that cannot have systemd stays as it is.

    Raises ImageError with what the failing part said.
    """
    name = families.detect(root)
    if name is None or not _has(root, _SHELLS):
        return Facts(NO_FAMILY, "", host_architecture(), "")
    family = families.load(name)
    scripts = [family.facts()]
    if family.systemd:
        if _lacks(root):
            emit(Phase(subject, "provision", "installing systemd and D-Bus"))
            _install(subject, root, family)
        if _has(root, _SYSTEMD):
            scripts = [family.clean, settle.SCRIPT, family.facts()]
    emit(Phase(subject, "settle", "preparing for a fast first boot"))
    output = _run(subject, root, scripts)
    told = dict(line.split("=", 1) for line in output.splitlines() if "=" in line)
    facts = Facts(name, told.get("package_manager", "").strip(), told.get("architecture", ""), told.get("systemd", ""))
    if not facts.architecture or (_has(root, _SYSTEMD) and not facts.systemd.isdigit()):
        raise ImageError("it does not tell its systemd and architecture", why=output[-_OUTPUT:])
    return facts


def check_offline(root: str) -> None:
    """Raise ImageError where `provision` would need the network."""
    name = families.detect(root)
    if name is not None and _has(root, _SHELLS) and families.load(name).systemd and _lacks(root):
        raise ImageError(
            "the image needs systemd and D-Bus installed, which --offline forbids", hint="run once without --offline"
        )


def os_release(root: str) -> dict[str, str]:
    """The fields of os-release(5); none where there is no such file."""
    top = os.open(root, os.O_PATH | os.O_DIRECTORY)
    try:
        for path in ("usr/lib/os-release", "etc/os-release"):
            with (
                suppress(OSError),
                open_beneath(top, path) as fd,
                open(f"/proc/self/fd/{fd}", errors="replace") as file,
            ):
                fields = (line.split("=", 1) for line in file.read(_OUTPUT).splitlines() if "=" in line)
                return {key.strip(): value.strip().strip("\"'") for key, value in fields}
    finally:
        os.close(top)
    return {}


def _install(subject: str, root: str, family: Family) -> None:
    try:
        _run(subject, root, [family.clean, family.systemd])
    except ImageError as error:
        distribution = os_release(root).get("ID", "")
        if distribution == "rhel" and not _entitled(root):
            raise ImageError(
                "systemd and D-Bus cannot be installed: without entitlements, RHEL has the repositories of UBI only",
                why=error.why,
                hint="take an image that has them, such as registry.access.redhat.com/ubi9/ubi-init",
            ) from error
        raise


def _entitled(root: str) -> bool:
    path = os.path.join(root, _ENTITLEMENTS)
    return not os.path.islink(path) and os.path.isdir(path) and bool(os.listdir(path))


def _run(subject: str, root: str, scripts: Sequence[str]) -> str:
    """Run scripts in the tree, each by a shell of its own; returns what they print. The first that fails ends it."""
    name = f"postroj-provision-{subject.replace('.', '-')}"[:44].rstrip("-")
    status, output = run_in_tree(root, ["sh", "-c", _EACH, "sh", *scripts], name=name)
    if status != 0:
        raise ImageError(f"it could not be provisioned (status {status})", why=output[-_OUTPUT:])
    return output


def _lacks(root: str) -> bool:
    """Whether something is to be installed before it boots."""
    return not all(_has(root, paths) for paths in _NEEDED)


def _has(root: str, paths: tuple[str, ...]) -> bool:
    # lexists: a link in the tree is the guest's, not to be followed from here
    return any(os.path.lexists(os.path.join(root, path)) for path in paths)
