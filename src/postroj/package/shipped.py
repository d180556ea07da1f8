"""The units that packages ship, as the guest's package database lists their files."""

import os
import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

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
# A template has no instance to start; a slice or a target is nothing that runs.
_UNIT = re.compile(r"[A-Za-z0-9:_.\\-][A-Za-z0-9:_.\\@-]*\.(?:service|socket|timer|path|mount|automount|swap)")
_SCRIPT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_MOST = 100
_OF_PACKAGES = ("/usr/lib/systemd/", "/lib/systemd/", "/run/systemd/transient/", "/run/systemd/generator")
"""What there is of units in these is a package's, or made for the moment, or from something else."""


class Shipped(NamedTuple):
    """What packages ship of units, by name, in alphabetical order."""

    units: list[str]
    """Services, sockets, timers, paths, mounts and swap space."""
    templates: list[str]
    """Those of which there are instances only."""


def made(machine: Machine, before: Collection[str], shipped: Shipped) -> list[str]:
    """Return the units that an installation has made and that no package has in its list of files.

    They were not loaded `before`, and are instances of templates that the packages ship, or their files are where
    administrators have them: maintainer scripts copy them there, or link to some of /opt.
    """
    found = []
    new = [name for name in machine.loaded_units() if name not in before and name not in shipped.units]
    for name in new[:_MOST]:
        with machine.watch_unit(name) as watch:
            file = watch.facts().file
        if file and (os.path.basename(file) in shipped.templates or not file.startswith(_OF_PACKAGES)):
            found.append(name)
    return found


def units(machine: Machine, family: Family, packages: Sequence[str], *, deadline: Deadline) -> Shipped:
    """Return what installed packages ship of units.

    An init script counts as the service that systemd generates from it. The file names are hostile input: what cannot
    be a unit's name is left out, and so is what comes after the first 100.
    """
    listed = machine.command(family.files(packages), deadline=deadline).output
    found = set()
    for path in listed.splitlines():
        directory, name = os.path.split(path)
        if directory in UNIT_DIRECTORIES and _UNIT.fullmatch(name):
            found.add(name)
        elif directory in (INIT_SCRIPTS, RC_SCRIPTS) and _SCRIPT.fullmatch(name):
            found.add(f"{name.removesuffix('.sh')}.service")  # as systemd-sysv-generator(8) calls it
    templates = {name for name in found if "@." in name}
    return Shipped(sorted(found - templates)[:_MOST], sorted(templates)[:_MOST])
