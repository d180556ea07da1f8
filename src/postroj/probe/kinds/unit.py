"""A unit is active, or is not, and what else systemd says of it."""

from typing import Annotated, NamedTuple

from postroj.contract import UnitWatch
from postroj.deadline import Deadline
from postroj.probe.judge import Scene, Seen, of
from postroj.probe.unit import unit_name
from postroj.probe.values import NUMBER, Key, Numbers, Text, Timeout, numbers, text, wrong, yes_or_no


def _name(operator: str, written: str) -> str:
    return unit_name(written)


class Unit(NamedTuple):
    """A unit is active and stays so, as with `--check-unit`; its settings are judged at the end of its stay."""

    name: Annotated[str, Key(_name, "unit grafana-server", "its name; `.service` may be left out")]
    active: Annotated[
        bool, Key(yes_or_no, "active=no", "`no`: it must not be active, and postroj does not start it")
    ] = True
    enabled: Annotated[
        bool | None, Key(yes_or_no, "enabled=yes", "whether a boot starts it, as the installation has left it")
    ] = None
    sub: Annotated[
        Text | None, Key(text, "sub=running", "its SubState, as `systemctl status` shows it in parentheses", NUMBER)
    ] = None
    restarts: Annotated[
        Numbers | None, Key(numbers(), "restarts=0", "how often `Restart=` has restarted it", NUMBER)
    ] = None
    timeout: Timeout = None

    def look(self, scene: Scene, until: Deadline) -> Seen:
        """Look, and with a timeout wait until it is as it should be: systemd tells of each change; see Check."""
        limit = until.sooner(self.timeout or 0.0)
        with scene.machine.watch_unit(self.name) as watch:
            while not (seen := self._seen(watch, scene)).passed and not limit.expired():
                watch.wait(limit.remaining() or 0.0)
        return seen

    def _seen(self, watch: UnitWatch, scene: Scene) -> Seen:
        state = watch.state()
        facts = watch.facts()
        enablement = scene.enablement.get(watch.name, facts.enablement)
        is_enabled = facts._replace(enablement=enablement).is_enabled
        clauses = []
        if (state.active == "active") != self.active:
            clauses.append(f"active: expected {'yes' if self.active else 'no'}, got {state.active}")
        if self.enabled is not None and is_enabled != self.enabled:
            got = enablement or "no unit file"
            clauses.append(f"enabled: expected {'yes' if self.enabled else 'no'}, got {got}")
        if self.sub:
            clauses.append(wrong("sub", self.sub, state.sub))
        if self.restarts:
            clauses.append(wrong("restarts", self.restarts, state.restarts))
        told = [f"{state.active} ({state.sub})", *([enablement] if self.enabled is not None else [])]
        return of(", ".join(told), clauses)
