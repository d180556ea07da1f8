"""What an error that a service has printed is about: a setting of its own unit that may be the reason."""

import re

from postroj.contract import UnitFacts
from postroj.probe.unitfile import UnitFile

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
    "kernel setting": ("ProtectKernelTunables",),
    "kernel module": ("ProtectKernelModules",),
    "kernel log": ("ProtectKernelLogs",),
    "clock": ("ProtectClock",),
}
"""What a machine may lack, by its kind in limits.py, and the settings by which a unit gives it up itself."""


def hidden(limit: str, file: UnitFile) -> str:
    """Return, as a clause, the setting of a unit that takes away what its program lacks; empty if there is none.

    `limit` is what the machine is said to lack. With such a setting the program fails on every machine.
    """
    keys = next((keys for kind, keys in _HIDES.items() if limit.startswith(kind)), ())
    there = [key for key in keys if file.last(key).lower() not in ("", *_NONE, "auto")]
    return f"its unit sets {' and '.join(f'{key}={file.last(key)}'[:_MOST] for key in there)}" if there else ""


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
