"""What in unit files keeps nothing from running: what systemd ignores, what no boot starts, limits of no effect."""

import math
from collections.abc import Sequence

from postroj.contract import Machine
from postroj.harness.services import Left
from postroj.probe import evidence, misread, unitfile
from postroj.probe.unit import is_name, state_of

_WANTING = ("WantedBy", "RequiredBy", "UpheldBy")
_MOST = 10
_BEYOND = 2
"""Seconds after which systemd has seen that a watchdog is late."""
_LONGEST = 200
_LIMITS = {
    "memory": ("MemoryMax", "MemoryLimit", "MemoryHigh", "MemorySwapMax"),
    "pids": ("TasksMax",),
    "cpu": ("CPUQuota",),
}
"""Controllers of cgroup2, and settings that have no effect without: systemd.resource-control(5)."""


def ignored(machine: Machine, names: Sequence[str]) -> list[str]:
    """Return what systemd says of settings that it ignores in the files of these units, each once."""
    if not names:
        return []
    for name in names:
        with machine.watch_unit(name):  # systemd reads the file of a unit when somebody asks for it
            pass
    lines = misread.ignored(machine, names)
    more = [f"and {len(lines) - _MOST} more that systemd ignores"] if len(lines) > _MOST else []
    return [*lines[:_MOST], *more]


def never_started(machine: Machine, left: Left) -> str:
    """Return why no boot starts a unit that is enabled, or may be; empty if one does, or that cannot be told."""
    if left.facts.enablement not in ("enabled", "disabled"):
        return ""
    file = unitfile.read(machine, left.name)
    wanting = file.words(*_WANTING)
    if not wanting or "Alias" in file.settings or left.facts.triggered_by:
        return ""
    if set(left.facts.pulled_in_by).difference(wanting) or any(_may_exist(machine, unit) for unit in wanting):
        return ""
    key = next(key for key in _WANTING if key in file.settings)
    return f"{key}={' '.join(wanting)[:_LONGEST]} does not exist: a boot does not start it"


def unenforced(machine: Machine, names: Sequence[str]) -> list[str]:
    """Return what is to be said of limits in unit files that have no effect here.

    They need controllers that the machine lacks; DevicePolicy= needs BPF, which is for the root of the host only.
    """
    if machine.capabilities.own_kernel:
        return []
    there = evidence.ask(machine, ["cat", "/sys/fs/cgroup/cgroup.controllers"]).split()
    limits = [(controller, key) for controller, keys in _LIMITS.items() if controller not in there for key in keys]
    notes = []
    for name in names:
        file = unitfile.read(machine, name)
        for controller, key in limits:
            if (value := file.last(key)) and value != "infinity":
                what = f"{key}={value[:_LONGEST]} has no effect: the machine has no {controller} controller"
                notes.append(f"{name}: {what}")
        if (policy := file.last("DevicePolicy")) in ("closed", "strict"):
            notes.append(f"{name}: DevicePolicy={policy} has no effect in a container with its own users; --vm tells")
    more = [f"and {len(notes) - _MOST} more limits that have no effect"] if len(notes) > _MOST else []
    return [*notes[:_MOST], *more]


def unwatched(left: Left) -> str:
    """Return what is to be said of a service that has a watchdog and has not been heard of yet; empty for nothing.

    Its first WATCHDOG=1 may come as late as WatchdogSec= allows, so that is no failure; sd_watchdog_enabled(3) asks for
    one in each half of that time.
    """
    limit, ran = left.facts.watchdog_seconds, left.state.active_seconds
    if not limit or left.facts.sends_watchdog or not ran:
        return ""
    late = "as it should in half of that time" if ran > limit / 2 else "in less than half of that time"
    return (
        f"WatchdogSec={limit:g}: no WATCHDOG=1 has come in {ran:.0f} s, {late};"
        f" systemd kills it if none does: --stay-active={math.ceil(limit) + _BEYOND} tells"
    )


def _may_exist(machine: Machine, unit: str) -> bool:
    if "%" in unit or "@." in unit:
        return True
    return is_name(unit) and state_of(machine, unit).load != "not-found"


def not_enabled(machine: Machine, left: Left) -> str:
    """Return why a unit is not enabled, and should be; empty if a boot starts it, or the first use."""
    if left.state.load != "loaded":
        return ""
    if not left.facts.is_enabled:
        return f"`systemctl is-enabled` says {left.facts.enablement or 'nothing'}"
    if left.facts.enablement != "static" or left.facts.kind == "dbus" or left.is_started_by_another:
        return never_started(machine, left)
    has_install = "Install" in unitfile.read(machine, left.name).sections
    what = "its [Install] section has no WantedBy=" if has_install else "it has no [Install] section"
    return f"{what}, and no other unit starts it: a boot does not start it"
