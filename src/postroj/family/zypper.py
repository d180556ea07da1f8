"""openSUSE, SUSE Linux Enterprise."""

from postroj.family import Family
from postroj.family.bootable import installing

# No refresh on its own, which fails for each repository that cannot be reached, needed or not. zypper(8), exit codes:
# 100 to 103 tell of updates and of a restart that is due, 106 of repositories left out; what is not found is 104.
_SYSTEMD = """
zypper --non-interactive install --no-recommends "$@" || case $? in
10[0-3] | 106) ;;
*) exit 1 ;;
esac
"""

# Keys that the image brings are trusted, as its installer would do it, so that none has to be taken from a repository
# (--gpg-auto-import-keys), many of which are read over plain HTTP.
_CLEAN = r"""
for key in /usr/lib/rpm/gnupg/keys/*.asc; do
    [ ! -e "$key" ] || rpm --import "$key" || :
done
# As with the other families: what an image leaves away, a package under test would lack.
[ ! -f /etc/zypp/zypp.conf ] ||
    sed -i 's/^rpm.install.excludedocs *=.*/rpm.install.excludedocs = no/' /etc/zypp/zypp.conf
"""


class _Zypper(Family):
    name = "zypper"
    tools = ("usr/bin/zypper",)
    systemd = installing(_SYSTEMD, systemd="systemd", bus="dbus-1")
    clean = _CLEAN
    architecture = "rpm --eval '%{_arch}'"
    version = "zypper --version"


FAMILY = _Zypper()
