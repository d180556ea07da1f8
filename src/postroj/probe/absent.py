"""Why a unit is not there: systemd does not find it, or it is masked."""

import difflib
from collections.abc import Sequence

from postroj.contract import Machine
from postroj.probe import Outcome, evidence

_MASKED_BY = {
    "/etc/": " by `systemctl mask`",
    "/run/": " by `systemctl mask --runtime`",
    "/": " by the package that ships it",
}


def masked(machine: Machine, name: str) -> tuple[Outcome, str]:
    """Return the outcome of a unit that is masked, and by what it is."""
    from postroj.image import settle

    file = evidence.file_of(machine, name)
    if name in settle.MASKED and file.startswith("/etc/"):
        return (
            Outcome.UNKNOWN,
            f"this machine cannot tell: postroj masks it in all images ({settle.MASKED[name]})",
        )
    by = next((by for place, by in _MASKED_BY.items() if file.startswith(place)), "")
    if file.startswith("/etc/"):
        made = evidence.brought(machine, [file])
        by += ", in a maintainer script" if made else " in the image"
    return Outcome.FAILED, f"masked{by}" + (f": {file}" if file else "")


def not_found(machine: Machine, name: str, types: Sequence[str]) -> str:
    """Return what is to be said of a unit that does not exist; `types` are those that there are."""
    if why := evidence.unread_init_script(machine, name) or evidence.misplaced(machine, name):
        return f"does not exist: {why}"
    asked, unknown = _mistyped(name, types)
    near = evidence.near(machine, asked)
    return f"does not exist{unknown}" + (f"; there is {', '.join(near)}" if near else "")


def _mistyped(name: str, types: Sequence[str]) -> tuple[str, str]:
    """Return the name that was meant if a type of unit is mistyped in it, as in `a.servce.service`, and a clause."""
    stem, _, kind = name.removesuffix(".service").rpartition(".")
    meant = difflib.get_close_matches(kind, types, n=1, cutoff=0.7) if stem else []
    return (f"{stem}.{meant[0]}", f": .{kind} is not a type of unit") if meant and kind not in types else (name, "")
