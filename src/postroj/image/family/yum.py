"""CentOS 7, Amazon Linux 2; and where dnf is named yum, and yum only."""

from postroj.image.family import Family, installing
from postroj.image.family.dnf import ARCHITECTURE, CLEAN

# yum has no weak dependencies, and warns of the option.
_INSTALL = """
if yum --help 2>/dev/null | grep -q -e --allowerasing; then
    set -- --allowerasing "$@"
fi
yum --assumeyes --setopt=install_weak_deps=0 install "$@"
"""

FAMILY = Family(
    tools=("usr/bin/yum",),
    install=installing(_INSTALL, systemd="systemd"),
    clean=CLEAN,
    architecture=ARCHITECTURE,
    version="yum --version 2>/dev/null | sed -n '1s/^\\([0-9][^ ]*\\).*/yum \\1/p'",
)
