"""Fedora, RHEL and what is built from it, Amazon Linux 2023."""

from postroj.image.family import Family

# CentOS 8 has left its mirrors for the vault; what is not there any more is named in no mirror list.
VAULT = r"""
if grep -qs 'release [78]\b' /etc/centos-release && ! grep -qs Stream /etc/centos-release; then
    sed -i -e 's|^mirrorlist=|#mirrorlist=|' -e 's|^#* *baseurl=http://mirror.centos.org|baseurl=https://vault.centos.org|' \
        /etc/yum.repos.d/CentOS-*.repo
fi
"""

# Without weak dependencies, which bring half a desktop; what lacks a package of these has it in another.
PACKAGES = "systemd dbus util-linux"

FAMILY = Family(
    tools=("usr/bin/dnf", "usr/bin/dnf5", "usr/bin/dnf-3"),
    install=f"{VAULT}\ndnf --assumeyes --setopt=install_weak_deps=False install {PACKAGES}\n",
    # tsflags=nodocs and its like are for small images, and change what a package installs
    clean=f"{VAULT}\nsed -i '/^tsflags=nodocs/d' /etc/dnf/dnf.conf 2>/dev/null || :\n",
    architecture="rpm --eval '%{_arch}'",
    version="dnf --version 2>/dev/null | sed -n '1s/^\\(dnf5 version \\)\\{0,1\\}\\([0-9][^ ]*\\).*/dnf \\2/p'",
)
