"""Debian, Ubuntu."""

from postroj.image.family import Family

FAMILY = Family(
    tools=("usr/bin/apt-get",),
    # mount is in no dependency of systemd's since Debian 14, and systemd cannot boot without it
    install=(
        "export DEBIAN_FRONTEND=noninteractive\n"
        "apt-get update && apt-get install --yes --no-install-recommends systemd systemd-sysv dbus mount\n"
    ),
    # A Docker image brings policy-rc.d, which forbids services to start, and settings that keep documentation and
    # package lists away: under test, they would be somebody else's fault.
    clean=(
        "rm -f /usr/sbin/policy-rc.d /etc/apt/apt.conf.d/docker-*"
        " /etc/dpkg/dpkg.cfg.d/docker* /etc/dpkg/dpkg.cfg.d/excludes\n"
    ),
    architecture="dpkg --print-architecture",
    version="apt-get --version | sed -n '1s/^\\(apt [^ ]*\\).*/\\1/p'",
)
