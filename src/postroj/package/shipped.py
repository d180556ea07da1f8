"""The units that packages ship, as the guest's package database lists their files."""

import os
import re
from collections.abc import Sequence

from postroj.contract import Machine
from postroj.deadline import Deadline
from postroj.family import Family

UNIT_DIRECTORIES = (
    *("/etc/systemd/system.control", "/run/systemd/system.control", "/run/systemd/transient", "/etc/systemd/system"),
    *("/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"),
)
"""Where unit files are, the first one counts: systemd.unit(5), Unit File Load Path."""
RC_SCRIPTS = "/usr/local/etc/rc.d"
"""Where packages of FreeBSD have the scripts of their services: rc(8)."""
INIT_SCRIPTS = "/etc/init.d"
"""Where the scripts are that systemd-sysv-generator(8) makes services of."""
# A template has no instance to start; a slice, a target or a mount is not a service.
_UNIT = re.compile(r"[A-Za-z0-9:_.\\-][A-Za-z0-9:_.\\@-]*(?<!@)\.(?:service|socket|timer|path)")
_SCRIPT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_MOST = 100


def units(machine: Machine, family: Family, packages: Sequence[str], *, deadline: Deadline) -> list[str]:
    """Return the services, sockets, timers and paths that installed packages ship, in alphabetical order.

    Templates are left out. An init script counts as the service that systemd generates from it. The file names are
    hostile input: what cannot be a unit's name is left out, and so is what comes after the first 100.
    """
    listed = machine.command(family.files(packages), deadline=deadline).output
    found = set()
    for path in listed.splitlines():
        directory, name = os.path.split(path)
        if directory in UNIT_DIRECTORIES and _UNIT.fullmatch(name):
            found.add(name)
        elif directory in (INIT_SCRIPTS, RC_SCRIPTS) and _SCRIPT.fullmatch(name):
            found.add(f"{name}.service")
    return sorted(found)[:_MOST]
