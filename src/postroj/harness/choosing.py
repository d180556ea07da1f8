"""Which units are judged: of those that packages ship, what a boot starts, and what its users are to start."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from postroj.contract import Machine
from postroj.deadline import Deadline
from postroj.harness.services import TRIGGERS, Left, look
from postroj.probe.unit import state_of

_MOMENTS = frozenset((
    *("sleep.target", "suspend.target", "hibernate.target", "hybrid-sleep.target", "suspend-then-hibernate.target"),
    *("systemd-suspend.service", "systemd-hibernate.service", "systemd-hybrid-sleep.service"),
    *("systemd-suspend-then-hibernate.service", "shutdown.target", "reboot.target", "poweroff.target", "halt.target"),
    *("kexec.target", "final.target", "umount.target", "rescue.target", "emergency.target"),
))  # fmt: skip
"""What no machine is in that runs: systemd.special(7). A unit for them has its work then, and may refuse it now."""
_MOST_TOLD = 5


def generate(machine: Machine, shipped: Sequence[str], *, deadline: Deadline) -> None:
    """Have systemd read what it has not read yet, as the next boot would: init scripts, links in TARGET.wants.

    Of other files of units, package managers see to it themselves.
    """
    left = [look(machine, name) for name in shipped]
    if any(one.state.load == "not-found" or (one.facts.enablement == "static" and _why_idle(one)) for one in left):
        machine.system.read_again(deadline=deadline)


class Chosen(NamedTuple):
    """Which units are to be judged."""

    units: list[str]
    notes: list[str]
    """Why others are not."""
    idle: list[str]
    """Services and timers that are not, as they are disabled; if none is judged, also those that nothing enables."""


def choose(machine: Machine, shipped: Sequence[str]) -> Chosen:
    """Return which of the units that packages ship are to be judged, none of them named by the user.

    They are those that the installation has enabled or started, those that an active unit wants, and those that systemd
    cannot load. If none of these is more than a helper, that is left to the users, and they are all services with an
    [Install] section, or else whatever has one. If none exists, because there are only init scripts and systemd
    reads none, it is these. Of units that conflict with each other the first one is judged; those for a shutdown, or
    for a suspension, are not.
    """
    left = [look(machine, name) for name in shipped]
    if machine.capabilities.systemd and left and all(one.state.load == "not-found" for one in left):
        from postroj.probe.evidence import unread_init_script

        scripts = [one.name for one in left if unread_init_script(machine, one.name)]
        return Chosen(scripts, _told({one.name: _why_idle(one) for one in left if one.name not in scripts}), [])
    broken = [one for one in left if one.state.load in ("bad-setting", "error")]
    loaded = [one for one in left if one.state.load == "loaded" and one.facts.enablement not in ("alias", "masked")]
    waiting = [one for one in loaded if one.is_stopped and (one.facts.refuses_start or _is_for_a_moment(machine, one))]
    there = [one for one in loaded if one not in waiting]
    wanted = [one for one in there if _is_wanted(machine, one)]
    if all(map(_is_helper, wanted)):
        installable = [one for one in there if one.can_enable and one not in wanted]
        wanted += [one for one in installable if one.name.endswith(".service")] or installable
    kept: list[Left] = []
    notes = [f"{one.name} is not judged: only another unit, a shutdown or a suspension starts it" for one in waiting]
    others = [one for one in left if one not in (*wanted, *waiting)] if machine.capabilities.systemd else []
    idle = {one.name: why for one in others if (why := _why_idle(one))}
    notes += _told(idle)
    for one in sorted(wanted, key=lambda one: one.is_stopped):  # what runs is not to be stopped
        conflicting = [other.name for other in kept if other.name in one.facts.conflicts]
        if one.is_stopped and conflicting:
            notes.append(f"{one.name} is not judged: it conflicts with {conflicting[0]}; name it by --check-unit")
        else:
            kept.append(one)
    units = [one.name for one in (*broken, *kept)]
    there_too = {name for one in kept for name in one.facts.conflicts}
    idlers = [one for one in others if one.name in idle and one.name.endswith((".service", ".timer"))]
    disabled = [one for one in idlers if one.can_enable and one.facts.kind != "dbus" and one.name not in there_too]
    return Chosen(units, notes, [one.name for one in (disabled if units else idlers)])


def _told(idle: Mapping[str, str]) -> list[str]:
    """Return the notes on units that are not judged."""
    notes = [f"{name} is not judged: {why}" for name, why in idle.items()][:_MOST_TOLD]
    more = len(idle) - len(notes)
    return [*notes, *([f"{more} more units are not judged"] if more else [])]


def _is_wanted(machine: Machine, left: Left) -> bool:
    """Return whether a unit runs, was tried, or is started by a boot."""
    if left.state.active != "inactive" or left.facts.enablement in ("enabled", "generated"):
        return True
    return not left.state.condition and any(
        unit.endswith(".target") and state_of(machine, unit).active == "active" for unit in left.facts.pulled_in_by
    )


def _is_helper(left: Left) -> bool:
    """Return whether a unit is none that its users would enable: it has no [Install] section, or is a mount."""
    return left.facts.enablement == "static" or not left.name.endswith((".service", *TRIGGERS))


def _why_idle(left: Left) -> str:
    """Return why a unit is not judged that no boot starts, and no other unit that is known of; empty if one does."""
    if left.state.load == "masked":
        return "it is masked"
    if left.state.load == "not-found":
        return "its file is not there, or is a link to one that is not"
    if left.state.load != "loaded" or not left.is_stopped or left.is_started_by_another:
        return ""
    if left.facts.kind == "dbus":
        return "only a call on D-Bus starts it; name it by --check-unit"
    why = {"disabled": "it is disabled", "static": "a boot does not start it"}.get(left.facts.enablement, "")
    return f"{why}; name it by --check-unit" if why else ""


def _is_for_a_moment(machine: Machine, left: Left) -> bool:
    """Return whether a unit is wanted by nothing but a shutdown, a suspension or their like."""
    wanting = left.facts.pulled_in_by
    if not wanting and left.facts.enablement in ("enabled", "disabled"):  # by what is not loaded, or by nothing yet
        from postroj.probe import unitfile

        wanting = tuple(unitfile.read(machine, left.name).words("WantedBy", "RequiredBy"))
    return bool(wanting) and _MOMENTS.issuperset(wanting)
