"""CentOS 7, Amazon Linux 2; and where dnf is named yum, and yum only."""

from postroj.family import Family
from postroj.family.bootable import installing
from postroj.family.dnf import ARCHITECTURE, CLEAN

# yum has no weak dependencies, and warns of the option.
_SYSTEMD = """
if yum --help 2>/dev/null | grep -q -e --allowerasing; then
    set -- --allowerasing "$@"
fi
yum --assumeyes --setopt=install_weak_deps=0 install "$@"
"""


class _Yum(Family):
    name = "yum"
    tools = ("usr/bin/yum",)
    systemd = installing(_SYSTEMD, systemd="systemd")
    clean = CLEAN
    architecture = ARCHITECTURE
    version = "yum --version 2>/dev/null | sed -n '1s/^\\([0-9][^ ]*\\).*/yum \\1/p'"


FAMILY = _Yum()
