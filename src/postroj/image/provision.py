"""Making a pulled tree bootable, and settled: what a first boot would do is done once, here."""

import os

from postroj.container.tree import run_in_tree
from postroj.errors import ImageError
from postroj.events import Step, emit

MASKED = {
    "apt-daily.timer": "would hold apt's lock while a package is installed",
    "apt-daily-upgrade.timer": "would hold apt's lock, and change the image under test",
    "dpkg-db-backup.timer": "work for nothing on a machine that is thrown away",
    "fstrim.timer": "the guest has no block device",
    "e2scrub_all.timer": "the guest has no block device",
    "console-getty.service": "/dev/console is a pipe, on which a getty restarts for ever",
}
"""Units that make no sense in a throw-away container, with the reason."""

_INSTALL = {
    "apt": (
        "export DEBIAN_FRONTEND=noninteractive;"
        " apt-get update && apt-get install --yes --no-install-recommends systemd systemd-sysv dbus mount"
    ),
}

# $@: the units to mask. A Docker image brings policy-rc.d, which forbids services to start, and settings that keep
# documentation and package lists away: under test, they would be somebody else's fault.
_SETTLE = r"""
set -e
rm -f /usr/sbin/policy-rc.d /etc/apt/apt.conf.d/docker-* /etc/dpkg/dpkg.cfg.d/docker* /etc/dpkg/dpkg.cfg.d/excludes
rm -f /etc/hostname /var/lib/dbus/machine-id
for unit; do ln -sfn /dev/null "/etc/systemd/system/$unit"; done
: >/etc/machine-id
systemd-sysusers
systemd-tmpfiles --create --boot || :
ldconfig
journalctl --update-catalog
touch /etc/.updated /var/.updated
echo "systemd=$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')"
"""

_ARCHITECTURE = {"apt": "echo architecture=$(dpkg --print-architecture)"}


def provision(name: str, family: str, root: str) -> dict[str, str]:
    """Install what a boot needs, unless it is there, and settle the tree; returns what the tree tells of itself.

    Keys: `systemd`, its version, and `architecture`. Raises ImageError with what the failing part said.
    """
    if not (os.path.lexists(f"{root}/usr/bin/dbus-daemon") and os.path.lexists(f"{root}/sbin/init")):
        emit(Step(name, "installs systemd and D-Bus"))
        _script(name, root, _INSTALL[family], [])
    emit(Step(name, "settles"))
    output = _script(name, root, _SETTLE + _ARCHITECTURE[family], sorted(MASKED))
    facts = dict(line.split("=", 1) for line in output.splitlines() if line.startswith(("systemd=", "architecture=")))
    if not facts.get("systemd", "").isdigit() or not facts.get("architecture"):
        raise ImageError(f"the image {name} does not tell its systemd and architecture", why=output[-2000:])
    return facts


def _script(name: str, root: str, script: str, arguments: list[str]) -> str:
    status, output = run_in_tree(root, ["sh", "-c", script, "sh", *arguments], name=f"postroj-provision-{name}"[:48])
    if status != 0:
        raise ImageError(f"the image {name} could not be provisioned (status {status})", why=output[-4000:])
    return output
