"""What an error that a service has printed is about: a setting of its own unit that may be the reason."""

import re
from collections.abc import Sequence

from postroj.contract import UnitFacts
from postroj.probe.unitfile import LONGEST, UnitFile

_MOST = 120
_AT_MOST = 2
_REFUSED = r"(?:Permission denied|No such file or directory|EACCES|ENOENT)"
_SETTINGS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"Read-only file system|EROFS", ("ProtectSystem", "ReadOnlyPaths", "ProtectHome")),
    (r"Address family not supported|EAFNOSUPPORT", ("RestrictAddressFamilies",)),
    (r"Too many open files|EMFILE", ("LimitNOFILE",)),
    (r"Resource temporarily unavailable|EAGAIN|cannot fork|can't fork", ("TasksMax", "LimitNPROC")),
    (
        r"\bMemoryError\b|Cannot allocate memory|ENOMEM|out of memory|bad_alloc",
        ("LimitAS", "LimitDATA", "LimitMEMLOCK", "MemoryDenyWriteExecute"),
    ),
    (r"File too large|EFBIG", ("LimitFSIZE",)),
    (r"unsupported locale|cannot (?:change|set) locale|locale not supported", ("Environment",)),
    (rf"/(?:home|root|run/user)\b.*{_REFUSED}", ("ProtectHome",)),
    (rf"/(?:var/)?tmp/.*{_REFUSED}", ("PrivateTmp",)),
    (rf"/proc\b.*{_REFUSED}", ("ProtectProc", "ProcSubset")),
    (_REFUSED, ("InaccessiblePaths", "TemporaryFileSystem")),
    (
        r"Operation not permitted|EPERM",
        (
            "SystemCallFilter",
            "CapabilityBoundingSet",
            "RestrictNamespaces",
            "MemoryDenyWriteExecute",
            "NoNewPrivileges",
        ),
    ),
)
"""Errors, and the settings of systemd.exec(5) by which the kernel answers with them."""
_NONE = ("no", "false", "0", "off", "infinity")

IN_USE = re.compile(r"already in use|EADDRINUSE", re.IGNORECASE)
_PORT = re.compile(r"\b(?:bind|binding|port|listen|listening)\b.*(?:Permission denied|EACCES)", re.IGNORECASE)
DENIED = re.compile(r"Permission denied|EACCES", re.IGNORECASE)
READ_ONLY = re.compile(r"\breadonly database\b|SQLITE_READONLY", re.IGNORECASE)
"""SQLite opens a file that cannot be written to all the same, and tells neither its path nor why."""
_BIND = "CAP_NET_BIND_SERVICE"
_BAD_OPTION = re.compile(
    r"(?:unrecogni[sz]ed|unknown|invalid|illegal|unexpected|bad)\b.{0,20}\b(?:argument|option|flag|parameter)",
    re.IGNORECASE,
)
_WHOLE = re.compile(r"(?<!\S)\$\{([A-Za-z_][A-Za-z0-9_]*)\}(?!\S)")
"""A variable in braces that is a word of its own: systemd.service(5), COMMAND LINES."""


_HIDES = {
    "device node": ("PrivateDevices", "DevicePolicy"),
    "kernel setting /sys/fs/cgroup": ("ProtectControlGroups",),
    "kernel setting": ("ProtectKernelTunables",),
    "kernel module": ("ProtectKernelModules",),
    "kernel log": ("ProtectKernelLogs",),
    "clock": ("ProtectClock",),
    "scheduling chrt": ("RestrictRealtime",),
    "scheduling sched_set": ("RestrictRealtime",),
    "scheduling SCHED_": ("RestrictRealtime",),
}
"""What a machine may lack, as limits.py begins to tell it, and the settings by which a unit gives it up itself."""
_NEEDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "kernel file system": ("CAP_SYS_ADMIN", ("@mount", "mount", "fsopen", "move_mount")),
    "clock": ("CAP_SYS_TIME", ("@clock", "@privileged", "adjtimex", "clock_adjtime", "clock_settime", "settimeofday")),
    "scheduling": ("CAP_SYS_NICE", ()),
    "swap space": ("CAP_SYS_ADMIN", ("@swap", "@privileged", "swapon")),
}
"""The capability that it takes, and names in a filter that has its system calls, by capabilities(7) and
`systemd-analyze syscall-filter`; none for what @system-service has."""
_PRIVILEGED = re.compile(r"[-@:|]*[+!]")
_OF_ANYBODY = ("LimitRTPRIO", "LimitNICE")
"""Settings by which a user may do it without the capability: getrlimit(2)."""


def hidden(limit: str, file: UnitFile) -> str:
    """Return, as a clause, the setting of a unit that takes away what its program lacks; empty if there is none.

    `limit` is what the machine is said to lack. With such a setting the program fails on every machine.
    """
    keys = next((keys for kind, keys in _HIDES.items() if limit.startswith(kind)), ())
    there = [f"{key}={file.last(key)}" for key in keys if file.last(key).lower() not in ("", *_NONE, "auto")]
    if file.last("DeviceAllow"):  # which of the nodes that leaves is not looked into
        there = [setting for setting in there if not setting.startswith("DevicePolicy=")]
    if not there:
        there = next((_withheld(file, *needed) for kind, needed in _NEEDS.items() if limit.startswith(kind)), [])
    return f"its unit sets {' and '.join(setting[:_MOST] for setting in there)}" if there else ""


def _withheld(file: UnitFile, capability: str, calls: tuple[str, ...]) -> list[str]:
    """Return the setting by which a unit withholds a capability, or the system calls that go with it.

    None of them is applied to a program with `+` or `!` before its path: systemd.service(5), COMMAND LINES.
    """
    programs = (value for key, values in file.settings.items() if key.startswith("Exec") for value in values)
    if file.is_on("PermissionsStartOnly") or any(map(_PRIVILEGED.match, programs)):
        return []
    user = file.last("User")
    is_other = user not in ("", "root", "0") or file.is_on("DynamicUser")
    if is_other and capability not in file.words("AmbientCapabilities"):
        return [] if any(map(file.last, _OF_ANYBODY)) else [f"User={user}" if user else "DynamicUser=yes"]
    for key, wanted in (("CapabilityBoundingSet", (capability,)), ("SystemCallFilter", calls)):
        values = file.settings.get(key, ())
        if wanted and _excludes(values, *wanted):
            return [f"{key}={' '.join(values)}"]
    return []


def _excludes(values: Sequence[str], *wanted: str) -> bool:
    """Return whether lists, of which those that begin with `~` take away, leave none of the wanted words."""
    if any(len(value) >= LONGEST for value in values):  # it is cut off
        return False
    taken = [word for value in values if value.startswith("~") for word in value[1:].split()]
    given = [word for value in values if not value.startswith("~") for word in value.split()]
    return any(word in wanted for word in taken) or (bool(given) and not any(word in wanted for word in given))


def about(line: str, facts: UnitFacts, file: UnitFile) -> str:
    """Return, as a clause, which setting of a unit a line of its program may be about; empty for none."""
    sockets = [unit for unit in facts.triggered_by if unit.endswith(".socket")]
    if IN_USE.search(line) and sockets:
        return f"{sockets[0]} listens for it: it must take that socket from systemd, as by sd_listen_fds(3)"
    is_root = not facts.user and not file.is_on("DynamicUser")
    if _PORT.search(line) and not is_root and _BIND not in file.words("AmbientCapabilities"):
        user = f"User={facts.user}" if facts.user else "DynamicUser=yes"
        return f"a port below 1024 needs AmbientCapabilities={_BIND} (its unit sets {user})"
    if is_root and DENIED.search(line) and (bound := file.settings.get("CapabilityBoundingSet")):
        return f"its unit sets CapabilityBoundingSet={' '.join(bound)}"[:_MOST] + ", which root is bound by"
    if _BAD_OPTION.search(line) and (whole := _WHOLE.search(file.last("ExecStart"))):
        name = whole[1]
        return f"ExecStart= has ${{{name}}}, which systemd passes on as one argument; ${name} is split into words"
    for pattern, keys in _SETTINGS:
        if re.search(pattern, line, re.IGNORECASE):
            there = [key for key in keys if file.last(key).lower() not in ("", *_NONE)]
            if there:
                shown = (f"{key}={' '.join(file.settings[key])}"[:_MOST] for key in there[:_AT_MOST])
                return f"its unit sets {' and '.join(shown)}"
    return ""
