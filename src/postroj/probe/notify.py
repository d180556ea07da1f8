"""Notifications that systemd has not taken of a service: systemd.service(5), NotifyAccess=."""

import re

from postroj.contract import Machine
from postroj.probe import evidence

_REFUSED = re.compile(
    r"Got notification message from PID (?P<sender>\d+), but reception (?:only permitted for (?P<only>main PID|control)"
    r"(?: (?P<main>\d+))?|is disabled)"
)


def refused(machine: Machine, name: str, access: str) -> str:
    """Return that systemd has not taken a notification, because of its sender; empty if it has refused none.

    `access` is the unit's NotifyAccess=.
    """
    lines = evidence.journal(machine, 100, "_PID=1", f"UNIT={name}")
    found = next((match for line in reversed(lines) if (match := _REFUSED.search(line))), None)
    if not found:
        return ""
    setting = f"NotifyAccess={access or 'main'}"
    if not found["only"]:
        return f"systemd takes no notification from it ({setting}): use NotifyAccess=main"
    main = f"main process (PID {found['main']})" if found["main"] else "main process"
    return (
        f"a notification came from PID {found['sender']}, not from the {main}, and {setting} does not permit that:"
        " use exec if a script starts the program, or NotifyAccess=all"
    )
