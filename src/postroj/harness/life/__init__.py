"""The phases of a package's life: what each needs, and what it leaves. docs/lifecycle.md describes them."""

from collections.abc import Collection, Sequence

from postroj.errors import UsageError
from postroj.harness.job import Phase, Stage
from postroj.harness.life import before, config, left, removal, restart, upgrade
from postroj.harness.life.between import look_around
from postroj.harness.life.rules import RULES
from postroj.harness.steps import CHECK, INSTALL
from postroj.nearest import did_you_mean

_ABSENT = frozenset((Stage.NOTHING, Stage.REMOVED, Stage.PURGED))
_PRESENT = frozenset((Stage.OLD, Stage.INSTALLED))

_ALL = (
    INSTALL._replace(needs=_ABSENT, steps=(before.arm, *INSTALL.steps, config.check_untouched)),
    CHECK._replace(needs=_PRESENT, steps=(*CHECK.steps, left.note_outside)),
    Phase("restart", (restart.restart,), _PRESENT),
    Phase("reload", (restart.reload,), _PRESENT),
    Phase("reboot", (restart.reboot,), _PRESENT),
    Phase("reinstall", (upgrade.reinstall,), frozenset((Stage.INSTALLED,))),
    Phase("remove", (removal.remove,), _PRESENT, Stage.REMOVED, always=True),
    Phase("purge", (removal.purge,), _PRESENT | {Stage.REMOVED}, Stage.PURGED, always=True),
    Phase("install-again", (removal.install_again,), frozenset((Stage.REMOVED, Stage.PURGED)), Stage.INSTALLED),
    Phase("purge-again", (removal.purge_again,), frozenset((Stage.INSTALLED,)), Stage.PURGED),
    Phase("upgrade", (before.arm, upgrade.upgrade), leaves=Stage.INSTALLED, always=True, sets_back=True),
    Phase("downgrade", (upgrade.downgrade,), frozenset((Stage.INSTALLED,)), Stage.OLD),
)
PHASES = {phase.name: phase._replace(steps=(*phase.steps, look_around)) for phase in _ALL}

LIFE = tuple(PHASES)
"""The whole life, in its order."""
_REMOVING = frozenset(("remove", "purge", "purge-again"))
_JUDGING = frozenset(LIFE) - {"install"} - _REMOVING
"""Phases after which units are to be active, and checks to come true."""
_OF_IMAGE = ("check", "restart", "reload", "reboot")
"""Phases that need no package."""


def read(names: Sequence[str], *, has_packages: bool, allow: Sequence[str] = ()) -> list[Phase]:
    """Return phases by their names; one that comes twice has a number the second time: `check-2`.

    Raises UsageError for one that does not exist, and where one cannot come after the one before it, and for a rule of
    `allow` that does not exist.
    """
    for rule in allow:
        _check("rule", rule, RULES)
    phases: list[Phase] = []
    stage, before = Stage.NOTHING, ""
    for name in names:
        _check("phase", name, PHASES)
        phase = PHASES[name]
        if not has_packages and name not in _OF_IMAGE:
            raise UsageError(f"the phase {name} is about a package", hint="give one by --package")
        if has_packages and phase.needs and stage not in phase.needs:
            where = f"after {before}" if before else "at the beginning"
            raise UsageError(
                f"the phase {name} cannot come {where}: the package is {stage.value} then", hint=_fix(phase, stage)
            )
        count = names[: len(phases)].count(name)
        phases.append(phase._replace(name=f"{name}-{count + 1}") if count else phase)
        stage, before = phase.leaves or stage, name
    return phases


def check_has_earlier(names: Sequence[str], *, has_earlier: bool) -> None:
    """Raise UsageError if an earlier release is needed and lacks, or is of no use. The whole life goes without one."""
    wanting = [name for name in names if name in ("upgrade", "downgrade")]
    if wanting and not has_earlier and tuple(names) != LIFE:
        raise UsageError(f"the phase {wanting[0]} needs an earlier release", hint="give it by --upgrade-from")
    if has_earlier and not wanting:
        raise UsageError("--upgrade-from is for the phases upgrade and downgrade", hint="add --phase=upgrade")


def check_uses(names: Sequence[str], *, units: bool, checks: bool) -> None:
    """Raise UsageError if units, or other checks, are asked for that none of the phases looks at."""
    if names and checks and not _JUDGING.intersection(names):
        what, hint = "checks are asked for", "add --phase=check"
    elif names and units and not (_JUDGING | _REMOVING).intersection(names):
        what, hint = "units are named", "add --phase=check"
    else:
        return
    raise UsageError(f"{what}, and none of the phases {', '.join(names)} looks at them", hint=hint)


def _check(what: str, name: str, known: Collection[str]) -> None:
    """Raise UsageError for a name that is not known."""
    if name not in known:
        hint = did_you_mean(name, known) or f"{what}s are {', '.join(known)}"
        raise UsageError(f"there is no {what} '{name[:100]}'", hint=hint)


def _fix(phase: Phase, stage: Stage) -> str:
    """Return what may come before a phase, and at this stage if there is such."""
    leading = [other for other in PHASES.values() if other.leaves in phase.needs]
    possible = [other for other in leading if not other.needs or stage in other.needs]
    return f"put {' or '.join(f'--phase={other.name}' for other in possible or leading)} before it"
