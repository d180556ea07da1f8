"""Who starts what: how units are started that an installation leaves stopped, and triggers."""

import os
import re
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import NamedTuple

from postroj.contract import Machine, UnitFacts, UnitState, UnitWatch
from postroj.deadline import Deadline
from postroj.errors import MissingToolError

TRIGGERS = (".socket", ".timer", ".path")
_CONNECT_SECONDS = 5.0
_PORT = re.compile(r"(?:(?P<host>\[[0-9A-Fa-f:.]+\]|[0-9.]+):)?(?P<port>[0-9]{1,5})")

LINKED = re.compile(r"^Created symlink (?:from )?'?(/[^ ']+)'? ", re.MULTILINE)
"""What systemctl prints: `from` before systemd 232, quotes since 256."""


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
    def is_started_by_another(self) -> bool:
        """Return whether another unit that is loaded wants it, or has it started."""
        return bool(self.facts.pulled_in_by or self.facts.triggered_by)

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


class Started(NamedTuple):
    """How a unit was started, if it was."""

    note: str = ""
    """For the report; empty if nothing was done."""
    by_trigger: bool = False
    """Whether it was started by using its socket."""
    links: Sequence[str] = ()
    """The links that were made to enable it."""


def start(machine: Machine, left: Left, *, deadline: Deadline) -> Started:
    """Enable and start a unit that the installation has left stopped.

    Many packages start nothing by design, Fedora's by policy: that is no fault of theirs. A unit that has ended or
    failed, is masked, or was skipped by a condition is left as it is, to be judged so.
    """
    if not left.is_stopped:
        return Started()
    sockets = [name for name in left.facts.triggered_by if name.endswith(".socket")]
    links: list[str] = []
    if sockets and not left.can_enable:
        for socket in sockets:
            links += start(machine, look(machine, socket), deadline=deadline).links
        _connect_to(machine, sockets, left.name)
        if not look(machine, left.name).is_stopped:
            return Started(f"started by {' and '.join(sockets)}", by_trigger=True, links=links)
    if left.can_enable:
        links += LINKED.findall(machine.system.enable([left.name], deadline=deadline).output)
    # The check waits for it, with the unit's own time limit. If it is refused, the unit stays inactive, and fails.
    machine.system.start([left.name], wait=False, deadline=deadline)
    how = "disabled" if left.can_enable else "stopped"
    return Started(f"started by postroj: the package leaves it {how}", links=links)


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
    if not name.endswith(TRIGGERS):
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
