"""Debian, Ubuntu."""

from postroj.image.family import Family, installing

# Release files of end-of-life suites are past Valid-Until; their images already name the archive mirror.
_INSTALL = r"""
export DEBIAN_FRONTEND=noninteractive
# Of Debian 8 and 9 systemd is too old to be of use, and the keys of their archive have expired.
if grep -qs '^ID=debian' /etc/os-release && grep -Eqs '^VERSION_ID="?[89]"?$' /etc/os-release; then
    exit 0
fi
if grep -qs '^ID=debian' /etc/os-release && grep -Eqs '^VERSION_ID="?10"?$' /etc/os-release; then
    echo 'Acquire::Check-Valid-Until "false";' >/etc/apt/apt.conf.d/80-end-of-life
fi
apt-get update
apt-get install --yes --no-install-recommends "$@"
"""

FAMILY = Family(
    tools=("usr/bin/apt-get",),
    # mount is in no dependency of systemd's since Debian 14, and systemd cannot boot without it
    install=installing(_INSTALL, systemd="systemd systemd-sysv", mount="mount"),
    # A Docker image brings policy-rc.d, which forbids services to start, and settings that keep documentation and
    # package lists away: under test, they would be somebody else's fault.
    clean=(
        "rm -f /usr/sbin/policy-rc.d /etc/apt/apt.conf.d/docker-*"
        " /etc/dpkg/dpkg.cfg.d/docker* /etc/dpkg/dpkg.cfg.d/excludes\n"
    ),
    architecture="dpkg --print-architecture",
    version="apt-get --version | sed -n '1s/^\\(apt [^ ]*\\).*/\\1/p'",
)
