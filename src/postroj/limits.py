"""What a container cannot give: nobody's fault, so there is no verdict. One table, shown in docs/limits.md.

Each kind is recognised by what systemd, the kernel or the program itself reports. What is not in the table is taken
for the package's own doing.
"""

import re
from typing import NamedTuple

FULL_MACHINE = "a full machine can tell"


class Limit(NamedTuple):
    """Something that this machine lacks."""

    what: str
    """The setting, device, capability or condition by name."""
    hint: str
    """What would tell."""


class Report(NamedTuple):
    """A kind of limit, recognised by a line that a program, systemd or the kernel prints."""

    kind: str
    pattern: str
    """A regular expression; its first group is the name."""
    hint: str = FULL_MACHINE


_REFUSED = r"(?:Read-only file system|Permission denied|Operation not permitted|EPERM|EACCES|EROFS)"
_ABSENT = r"(?:No such file or directory|No such device|ENOENT|ENODEV|ENXIO)"

CONDITIONS = frozenset(
    f"Condition{kind}"
    for kind in (
        "ACPower", "CPUFeature", "CPUPressure", "CPUs", "Capability", "ControlGroupController", "Firmware",
        "IOPressure", "KernelCommandLine", "KernelModuleLoaded", "KernelVersion", "Memory", "MemoryPressure",
        "Security", "Virtualization",
    )
)  # fmt: skip
"""Conditions on the machine or its kernel: systemd.unit(5). Others are about what the package brings."""

_KERNEL_PATHS = ("/dev/", "/proc/", "/sys/", "/lib/modules/", "/usr/lib/modules/", "/boot/")
"""Paths that are the kernel's: a condition on one of them is a condition on the machine."""

EXIT_STATUSES = {
    201: "Nice=",
    205: "Limit…=",
    206: "OOMScoreAdjust=",
    211: "IOSchedulingClass=, IOSchedulingPriority=",
    214: "CPUSchedulingPolicy=, CPUSchedulingPriority=",
    215: "CPUAffinity=",
    229: "SELinuxContext=",
    231: "AppArmorProfile=",
    236: "SmackProcessLabel=",
    242: "NUMAPolicy=",
}
"""Settings that the kernel refuses in a container: systemd.exec(5), Process Exit Codes."""

_CLOCK = r"clock_settime|settimeofday|adjtimex|ntp_adjtime"
_SET_ON_HOST = "set it on the host, or take a full machine"

REPORTS = (
    Report("kernel setting", rf"(/proc/sys/[\w./-]+\w).*{_REFUSED}", _SET_ON_HOST),
    Report("kernel setting", r"""sysctl: (?:permission denied on|setting) key ?["'](\w[\w./-]+)""", _SET_ON_HOST),
    Report("kernel setting", r"""sysctl: cannot stat (/proc/sys/[\w./-]+\w)""", _SET_ON_HOST),
    Report("device node", rf"(?<![\w/])(/dev/(?!null\b|std|log\b|fd/)\w[\w./-]*\w).*(?:{_REFUSED}|{_ABSENT})"),
    Report("device node", r"mknod: (.+?): Operation not permitted"),
    Report("kernel module", r"modprobe: (?:FATAL|ERROR): (?:Module|could not insert) '?([\w-]+)"),
    Report("kernel file system", r"unknown filesystem type '([\w.-]+)'"),
    Report("kernel file system", rf"mount: (\S+): (?:permission denied|cannot mount \S+ read-only|{_REFUSED})"),
    Report("locked memory", r"\b(mlock(?:all|2)?)\b.*(?:Cannot allocate memory|Operation not permitted)"),
    Report("scheduling", r"\b(sched_set\w+|SCHED_(?:RR|FIFO))\b.*Operation not permitted"),
    Report("clock", rf"\b({_CLOCK})\b.*Operation not permitted"),
    Report("audit", rf"\b(audit\w*)\b.*(?:{_REFUSED}|Protocol not supported|Connection refused)"),
    Report("service setting", r"Failed at step ([A-Z_]+) spawning .*: Operation not permitted"),
    Report("owner beyond the machine's range of IDs", r"(?:chown|ownership).*?'?([\w./:-]+)'?.*: Invalid argument"),
)


def of_condition(condition: str) -> Limit | None:
    """Return the limit if an unmet condition or assertion is one on the machine, as `ConditionVirtualization=no` is."""
    kind, _, parameter = condition.replace("Assert", "Condition", 1).partition("=")
    value = parameter.lstrip("|!")
    if kind not in CONDITIONS and not (kind.startswith("ConditionPath") and value.startswith(_KERNEL_PATHS)):
        return None
    hint = f"--capability={value}" if kind == "ConditionCapability" and "!" not in parameter else FULL_MACHINE
    return Limit(f"{condition} is not met", hint)


def of_device(unit: str) -> Limit:
    """Return the limit that a device unit which never comes is: systemd.device(5)."""
    return Limit(f"there is no {unit}", FULL_MACHINE)


def of_exit_status(status: int) -> Limit | None:
    """Return the limit if systemd could not start a program for a setting that the kernel refuses in a container."""
    setting = EXIT_STATUSES.get(status)
    return Limit(f"{setting} is refused (status {status})", FULL_MACHINE) if setting else None


def of_output(output: str) -> Limit | None:
    """Return the limit that the last lines a program has printed report, if they do."""
    for line in reversed(output.splitlines()[-20:]):
        for report in REPORTS:
            if found := re.search(report.pattern, line[:1000], re.IGNORECASE):
                return Limit(f"{report.kind} {found[1]}: {line.strip()[:200]}", report.hint)
    return None
