"""Fedora, RHEL and what is built from it, Amazon Linux 2023."""

from postroj.family import Family
from postroj.family.bootable import installing

# CentOS 7, 8 and Stream 8 have left their mirrors for the vault, and their mirror lists are gone.
_VAULT = r"""
if grep -qs 'release [78]\b' /etc/centos-release; then
    sed -i -e 's|^mirrorlist=|#mirrorlist=|' \
        -e 's|^#* *baseurl=http://mirror.centos.org|baseurl=https://vault.centos.org|' /etc/yum.repos.d/CentOS-*.repo
fi
"""

# Images for containers leave documentation away, and translations but for English: under test, what a package lacks
# would be somebody else's fault. Through the link that yum.conf is on systems with dnf.
CLEAN = rf"""
set -e
for file in /etc/dnf/dnf.conf /etc/yum.conf; do
    [ ! -f "$file" ] || sed -i --follow-symlinks '/^tsflags *=.*nodocs/d' "$file"
done
rm -f /etc/rpm/macros.image-language-conf
{_VAULT}
"""

ARCHITECTURE = "rpm --eval '%{_arch}'"

# Images of Fedora 42 and newer have systemd-standalone-sysusers, which conflicts with systemd: --allowerasing. Without
# weak dependencies, which bring half a desktop. Not each has it under its shortest name.
_SYSTEMD = """
dnf=$(command -v dnf || command -v dnf5 || command -v dnf-3)
"$dnf" --assumeyes --setopt=install_weak_deps=False --allowerasing install "$@"
"""


class _Dnf(Family):
    name = "dnf"
    tools = ("usr/bin/dnf", "usr/bin/dnf5", "usr/bin/dnf-3")
    systemd = installing(_SYSTEMD, systemd="systemd")
    clean = CLEAN
    architecture = ARCHITECTURE
    # `4.14.0` in the first line of dnf's, `dnf5 version 5.2.10.0` in that of dnf5's
    version = (
        "dnf=$(command -v dnf || command -v dnf5 || command -v dnf-3)\n"
        "\"$dnf\" --version 2>/dev/null | sed -n '1s/^\\(dnf5 version \\)\\{0,1\\}\\([0-9][^ ]*\\).*/dnf \\2/p'"
    )


FAMILY = _Dnf()
