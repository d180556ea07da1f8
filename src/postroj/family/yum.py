"""CentOS 7, Amazon Linux 2; and where dnf is named yum, and yum only."""

from collections.abc import Sequence
from typing import ClassVar

from postroj.family.bootable import installing
from postroj.family.dnf import Dnf, cache

# yum has no weak dependencies, and warns of the option.
_SYSTEMD = """
if yum --help 2>/dev/null | grep -q -e --allowerasing; then
    set -- --allowerasing "$@"
fi
yum install --assumeyes --setopt=install_weak_deps=0 "$@"
"""


class _Yum(Dnf):
    name = "yum"
    tools = ("usr/bin/yum",)
    systemd = installing(_SYSTEMD, systemd="systemd")
    version = "yum --version 2>/dev/null | sed -n '1s/^\\([0-9][^ ]*\\).*/yum \\1/p'"
    command = "yum"
    refresh: ClassVar[Sequence[str]] = ("makecache",)
    kept = cache.kept([command, *refresh, "--assumeyes"])
    has_weak_dependencies = False  # nor has rpm before 4.12 a word for them


FAMILY = _Yum()
