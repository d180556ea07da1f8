"""CentOS 7, Amazon Linux 2."""

from postroj.image.family import Family
from postroj.image.family.dnf import PACKAGES, VAULT

FAMILY = Family(
    tools=("usr/bin/yum",),
    install=f"{VAULT}\nyum --assumeyes install {PACKAGES}\n",
    clean=f"{VAULT}\nsed -i '/^tsflags=nodocs/d' /etc/yum.conf 2>/dev/null || :\n",
    architecture="rpm --eval '%{_arch}'",
    version="yum --version 2>/dev/null | sed -n '1s/^\\([0-9][^ ]*\\).*/yum \\1/p'",
)
