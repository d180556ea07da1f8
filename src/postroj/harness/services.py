"""Who starts what: which units are judged, how those are started that an installation leaves stopped, and triggers."""

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import NamedTuple

from postroj.contract import Machine, UnitFacts, UnitState, UnitWatch
from postroj.deadline import Deadline
from postroj.errors import MissingToolError
from postroj.probe.unit import state_of

_MOMENTS = frozenset((
    *("sleep.target", "suspend.target", "hibernate.target", "hybrid-sleep.target", "suspend-then-hibernate.target"),
    *("systemd-suspend.service", "systemd-hibernate.service", "systemd-hybrid-sleep.service"),
    *("systemd-suspend-then-hibernate.service", "shutdown.target", "reboot.target", "poweroff.target", "halt.target"),
    *("kexec.target", "final.target", "umount.target", "rescue.target", "emergency.target"),
))  # fmt: skip
"""What no machine is in that runs: systemd.special(7). A unit for them has its work then, and may refuse it now."""
_TRIGGERS = (".socket", ".timer", ".path")
_MOST_TOLD = 5
_CONNECT_SECONDS = 5.0
_PORT = re.compile(r"(?:(?P<host>\[[0-9A-Fa-f:.]+\]|[0-9.]+):)?(?P<port>[0-9]{1,5})")


class Left(NamedTuple):
    """How an installation has left a unit."""

    name: str
    state: UnitState
    facts: UnitFacts

    @property
    def is_stopped(self) -> bool:
        """Return whether nothing has tried to start it."""
        return (
            self.state.load == "loaded"
            and self.state.active == "inactive"
            and not self.state.has_job
            and not self.state.was_tried
        )

    def as_new(self) -> "Left":
        """Return it without what was before: systemd remembers a unit whose file was gone for a while."""
        was_stopped = self.state.result in ("", "success") and not self.state.condition
        return self._replace(state=self.state._replace(was_tried=False)) if was_stopped else self

    @property
    def can_enable(self) -> bool:
        """Return whether `systemctl enable` has something to do."""
        return self.facts.enablement == "disabled"


def look(machine: Machine, name: str) -> Left:
    """Return how a unit is now, by its own name; see own_name."""
    with machine.watch_unit(name) as watch:
        return Left(watch.name, watch.state(), watch.facts())


def own_name(machine: Machine, name: str) -> str:
    """Return a unit's own name, which may be given by an alias: the journal knows only that one."""
    with machine.watch_unit(name) as watch:
        return watch.name


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
    """Services and timers that are not, as no boot starts them, and nothing else does."""


def choose(machine: Machine, shipped: Sequence[str]) -> Chosen:
    """Return which of the units that packages ship are to be judged, none of them named by the user.

    They are those that the installation has enabled or started, those that an active unit wants, and those that systemd
    cannot load. If there are none of these, that is left to the users, and they are all services with an [Install]
    section, or else sockets, timers and paths with one. If none exists, because there are only init scripts and systemd
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
    if not wanted:
        installable = [one for one in there if one.can_enable]
        wanted = [one for one in installable if one.name.endswith(".service")] or installable
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
    return Chosen(units, notes, [name for name in idle if name.endswith((".service", ".timer"))])


def _told(idle: Mapping[str, str]) -> list[str]:
    """Return the notes on units that are not judged."""
    notes = [f"{name} is not judged: {why}" for name, why in idle.items()][:_MOST_TOLD]
    more = len(idle) - len(notes)
    return [*notes, *([f"{more} more units are not judged, as nothing starts them"] if more else [])]


def _is_wanted(machine: Machine, left: Left) -> bool:
    """Return whether a unit runs, was tried, or is started by a boot."""
    if left.state.active != "inactive" or left.facts.enablement in ("enabled", "generated"):
        return True
    return any(
        unit.endswith(".target") and state_of(machine, unit).active == "active" for unit in left.facts.pulled_in_by
    )


def _why_idle(left: Left) -> str:
    """Return why a unit that is not judged would not be started by anything; empty if something starts it."""
    if left.state.load == "masked":
        return "it is masked"
    if left.state.load == "not-found":
        return "its file is not there, or is a link to one that is not"
    if left.state.load != "loaded" or not left.is_stopped or left.facts.pulled_in_by or left.facts.triggered_by:
        return ""
    if left.facts.kind == "dbus":
        return "only a call on D-Bus starts it; name it by --check-unit"
    by_name = "nothing starts it; name it by --check-unit"
    return {"disabled": f"it is disabled, and {by_name}", "static": by_name}.get(left.facts.enablement, "")


def _is_for_a_moment(machine: Machine, left: Left) -> bool:
    """Return whether a unit is wanted by nothing but a shutdown, a suspension or their like."""
    wanting = left.facts.pulled_in_by
    if not wanting and left.facts.enablement in ("enabled", "disabled"):  # by what is not loaded, or by nothing yet
        from postroj.probe import unitfile

        wanting = tuple(unitfile.read(machine, left.name).words("WantedBy", "RequiredBy"))
    return bool(wanting) and _MOMENTS.issuperset(wanting)


class Started(NamedTuple):
    """How a unit was started, if it was."""

    note: str = ""
    """For the report; empty if nothing was done."""
    by_trigger: bool = False
    """Whether it was started by using its socket."""


def start(machine: Machine, left: Left, *, deadline: Deadline) -> Started:
    """Enable and start a unit that the installation has left stopped.

    Many packages start nothing by design, Fedora's by policy: that is no fault of theirs. A unit that has ended or
    failed, is masked, or was skipped by a condition is left as it is, to be judged so.
    """
    if not left.is_stopped:
        return Started()
    sockets = [name for name in left.facts.triggered_by if name.endswith(".socket")]
    if sockets and not left.can_enable:
        for socket in sockets:
            start(machine, look(machine, socket), deadline=deadline)
        _connect_to(machine, sockets, left.name)
        if not look(machine, left.name).is_stopped:
            return Started(f"started by {' and '.join(sockets)}", by_trigger=True)
    if left.can_enable:
        machine.system.enable([left.name], deadline=deadline)
    # The check waits for it, with the unit's own time limit. If it is refused, the unit stays inactive, and fails.
    machine.system.start([left.name], wait=False, deadline=deadline)
    return Started(f"started by postroj: the package leaves it {'disabled' if left.can_enable else 'stopped'}")


def was_refused(machine: Machine, name: str, *, until: float) -> bool:
    """Return whether somebody has tried to start a unit before a point of time.time(), and systemd has not done it."""
    if not machine.capabilities.systemd:
        return False
    from postroj.probe import evidence, past

    # --lines= would count from the end of the journal, whatever --until= says.
    argv = ["journalctl", "--no-pager", "--quiet", "--output=cat", f"--until=@{until:.6f}"]
    return bool(evidence.ask(machine, [*argv, f"UNIT={name}", *past.NOT_DONE]))


def trigger(machine: Machine, name: str, *, is_named: bool, deadline: Deadline) -> dict[str, str]:
    """Use a socket, timer or path as its users would, and return the units that it starts, with a note for each.

    What a path waits for is there if its users say so: its unit is started only if the user has named the path.
    """
    if not name.endswith(_TRIGGERS):
        return {}
    left = look(machine, name)
    if left.state.active != "active":
        return {}
    started: dict[str, str] = {}
    for unit in (one for one in left.facts.triggers if "@" not in one):
        if name.endswith(".socket"):
            _connect_to(machine, [name], unit)
        is_stopped = look(machine, unit).is_stopped
        if is_stopped and name.endswith(".path") and not is_named:
            continue
        started[unit] = f"started by postroj, in place of {name}" if is_stopped else ""
        if is_stopped:
            machine.system.start([unit], wait=False, deadline=deadline)
    if not started and left.facts.listens:  # Accept=yes: a service for each connection
        _connect_to(machine, [name], "")
    return started


def _connect_to(machine: Machine, sockets: Sequence[str], service: str) -> None:
    """Connect to sockets, and keep the connections until their service, if one is named, has started or failed."""
    with ExitStack() as stack:
        for name in sockets:
            for kind, address in look(machine, name).facts.listens:
                if kind == "Stream":
                    with suppress(OSError, MissingToolError):  # whoever judges the socket will see
                        stack.callback(os.close, _connect(machine, address))
        if service:
            with machine.watch_unit(service) as watch:
                _wait_started(watch)


def _connect(machine: Machine, address: str) -> int:
    """Connect to what systemd.socket(5) calls a ListenStream= address, as `systemctl show` spells it."""
    if address.startswith("/"):
        return machine.connect_path(address, _CONNECT_SECONDS)
    found = _PORT.fullmatch(address)
    if not found:
        raise OSError(f"cannot connect to {address!r}")
    host = (found["host"] or "").strip("[]")
    return machine.connect("localhost" if host in ("", "::", "0.0.0.0") else host, int(found["port"]), _CONNECT_SECONDS)


def _wait_started(watch: UnitWatch) -> None:
    until = Deadline(_CONNECT_SECONDS)
    while not until.expired():
        state = watch.state()
        if state.active not in ("inactive", "activating") and not state.has_job:
            return
        if state.active == "inactive" and state.was_tried:
            return
        watch.wait(until.remaining() or 0.0)
