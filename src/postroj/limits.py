"""What a machine cannot give: nobody's fault, so there is no verdict. One table, shown in docs/limits.md.

Each kind is recognised by what systemd, the kernel or the program itself reports. What is not in the table is taken
for the package's own doing. A machine with a kernel of its own (`own_kernel`) lacks hardware and parts of a kernel
only: what is refused there is refused everywhere.
"""

import errno
import os
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

FULL_MACHINE = "a full machine can tell"
"""The harness adds the command that starts one, if there is one of the image."""
_OTHER_MACHINE = "a machine that has it can tell"
_LONGEST = 200


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
    may_lack: bool = False
    """Whether a machine with a kernel of its own may lack it as well."""


_REFUSED = r"(?:Read-only file system|Permission denied|Operation not permitted|EPERM|EACCES|EROFS)"
# Of /dev, what every guest has as a full machine does.
_IN_EACH_GUEST = r"(?:null|zero|full|u?random|tty|log|shm|mqueue|pts|ptmx)\b|std|fd/"
_NODE = rf"(?<![\w/])(/dev/(?!{_IN_EACH_GUEST})\w[\w./-]*\w)"
# dash leaves `or directory` out.
_ABSENT = r"(?:No such file|No such device|ENOENT|ENODEV|ENXIO)"
_IN_CONTAINER = r"\b(?:in|inside) (?:an? )?(\w*containers?|docker|lxc)\b(?! ?[.:]|\.\w| definition| config)"
_SYSCTL = r"(?-i:(?<![\w.])((?:vm|kernel|fs|net)\.[a-z0-9_]+(?:\.[a-z0-9_]+)*))(?![\w.(])"
_MODULES = r"(?<![\w/])((?:/usr)?/lib/modules/\d[\w.+/-]*)"

CONDITIONS = frozenset(
    f"Condition{kind}"
    for kind in (
        "ACPower", "CPUFeature", "CPUPressure", "CPUs", "Capability", "ControlGroupController", "Firmware",
        "IOPressure", "KernelCommandLine", "KernelModuleLoaded", "KernelVersion", "Memory", "MemoryPressure",
        "Security", "Virtualization",
    )
)  # fmt: skip
"""Conditions on the machine or its kernel: systemd.unit(5). Others are about what the package brings."""

KERNEL_CAPABILITIES = frozenset(
    f"CAP_{name}" for name in ("BPF", "MAC_ADMIN", "MAC_OVERRIDE", "PERFMON", "SYSLOG", "SYS_MODULE", "SYS_RAWIO")
)
"""Those for system calls on what machines share with the host: kernel modules, programs, log, policies, I/O ports."""

_OF_PATHS = ("ConditionPath", "ConditionFile", "ConditionDirectory")
_KERNEL_PATHS = re.compile(r"/(?:dev|proc|sys|(?:usr/)?lib/modules|boot)(?:/|$)")
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
_OF_ANY_KERNEL = frozenset((229, 231, 236, 242))
"""Those of what a kernel may be without: security modules, and more than one NUMA node."""

_CLOCK = r"clock_settime|settimeofday|adjtimex|ntp_adjtime"
_SET_ON_HOST = f"set it on the host; or {FULL_MACHINE}"
_BEYOND = "owner beyond the machine's range of IDs"
_OWNER = f"if it is meant to be root's, build with dpkg-deb --root-owner-group; if not, {FULL_MACHINE}"

_LOADERS = r"modprobe|insmod"
_AUDIT = r"\baudit_(?:open|set_\w+|add_\w+|send)|NETLINK_AUDIT|\baudit (?:netlink|socket|pid|status|client|daemon)"
# What capabilities(7) leaves to root outside all user namespaces.
_CALLS = (
    r"bpf|perf_event_open|init_module|finit_module|kexec_load|kexec_file_load|ioperm|iopl|io_uring_setup|add_key|keyctl"
    r"|fanotify_init|open_by_handle_at|quotactl|syslog\(2\)|userfaultfd|lookup_dcookie|mknod|mknodat|acct"
)
# `device` is part of it: a program may go on without hardware acceleration.
_DEVICE = r"((?:\w+ ){0,3}devices?)"
_SEEN = r"(?:(?:was|were|is|are) )?(?:found|present|available|detected)"

REPORTS = (
    Report("kernel setting", rf"(/proc/sys/[\w./-]+\w).*{_REFUSED}", _SET_ON_HOST),
    Report("kernel setting", r"""sysctl: (?:permission denied on|setting) key ?["'](\w[\w./-]+)""", _SET_ON_HOST),
    Report("kernel setting", r"""sysctl: cannot stat (/proc/sys/[\w./-]+\w)""", _SET_ON_HOST),
    Report("device node", rf"{_NODE}.*{_ABSENT}", may_lack=True),
    Report("device node", rf"{_NODE}.*{_REFUSED}"),
    Report("hardware", rf"\bhardware {_DEVICE} .*\bnot {_SEEN}", may_lack=True),
    Report("hardware", rf"\bno hardware {_DEVICE} {_SEEN}", may_lack=True),
    Report("device node", r"mknod: (.+?): Operation not permitted"),
    Report("kernel module", r"modprobe: (?:FATAL|ERROR): (?:Module|could not insert) '?([\w-]+)", may_lack=True),
    Report("kernel file system", r"unknown filesystem type '([\w.-]+)'", may_lack=True),
    Report("kernel file system", rf"mount: (\S+): (?:permission denied|cannot mount \S+ read-only|{_REFUSED})"),
    Report("locked memory", r"\b(mlock(?:all|2)?)\b.*(?:Cannot allocate memory|Operation not permitted)"),
    Report("scheduling", r"\b(sched_set\w+|SCHED_(?:RR|FIFO))\b.*Operation not permitted"),
    Report("clock", rf"\b({_CLOCK})\b.*Operation not permitted"),
    Report("audit", rf"({_AUDIT}).*(?:{_REFUSED}|Protocol not supported|Connection refused)"),
    Report("service setting", r"Failed at step ([A-Z_]+) spawning .*: Operation not permitted"),
    Report("device node", r"error creating (?:device|pipe) '(.+)': Operation not permitted"),
    Report("kernel setting", rf"(?<!\w)(/sys/[\w./-]+\w).*{_REFUSED}", _SET_ON_HOST),
    Report("kernel module", rf"\b({_LOADERS}): (?:command )?not found"),
    Report("kernel file system", r"mount: (\S+): mount failed: Operation not permitted"),
    Report("loop device", r"(?:losetup|mount): (?:(.+?): )?(?:failed to set ?up|cannot find an unused) loop device"),
    Report("swap space", r"swapon: (\S+): swapon failed: Operation not permitted"),
    Report("scheduling", r"\b(chrt): failed to set .*Operation not permitted"),
    Report("scheduling", r"\b(ionice): ioprio_set failed: Operation not permitted"),
    Report("scheduling", r"\b(renice): failed to set priority .*: Permission denied"),
    Report("scheduling", r"\b((?:change|set) ?priority)\b.*(?:Operation not permitted|Permission denied)"),
    Report("kernel module", r"Error: (Unknown device type)", may_lack=True),
    Report("clock", r"\b(date): cannot set date: Operation not permitted"),
    Report("clock", r"\b(hwclock): Cannot access the Hardware Clock"),
    Report("clock", r"(Failed to set (?:time|local RTC|ntp)): (?:Access denied|.*not (?:permitted|supported))"),
    Report("file attribute", r"\b(chattr): Operation not permitted while setting flags"),
    Report("kernel log", r"\b(dmesg): read kernel buffer failed: Operation not permitted"),
    Report("system call", rf"\b({_CALLS})\b.*(?:Operation not permitted|EPERM)"),
    Report("system call", r"\b(perf_event_open)\b.*Permission denied"),
    Report("kernel module", rf"{_MODULES}.*(?:{_ABSENT}|does not exist|not found|missing|not installed)"),
    Report("kernel module", rf"\b(?:missing|cannot find|not found|no such)\b.*{_MODULES}"),
    Report("kernel file", rf"(?<![\w/])((?:/sys|/proc/sys)/[\w./:-]+\w).*{_ABSENT}", may_lack=True),
    Report("kernel file system", r"mount: (/sys/\S+): mount point does not exist", may_lack=True),
    Report("kernel setting", rf"(/proc/(?:self|thread-self|\d+)/oom_score_adj).*{_REFUSED}"),
    Report("kernel setting", rf"{_SYSCTL}\b.*(?:\d.*\btoo (?:low|small)\b|\bat least \[?\d{{4}})", _SET_ON_HOST),
    Report("device node", r"(Standard(?:Input|Output|Error)=tty)\b.*No such file"),
    Report("unit type", r"unit type of (\S+) not supported on this system"),
    Report("security module", r"unable to find a suitable fs in (/proc/mounts)", may_lack=True),
    Report("udev", r"(Failed to send reload request): No such file"),
    Report("machine", rf"\bnot (?:be )?(?:supported|allowed|run|installed)\b.*{_IN_CONTAINER}"),
    Report(_BEYOND, r"(?:ownership of|\bchown:?) '?([^':]+)'?: Invalid argument", _OWNER),
)


def of_memory(*, own_kernel: bool = False) -> Limit:
    """Return the limit of a unit with the Result oom-kill that sets no MemoryMax= of its own."""
    return Limit("the kernel's OOM killer ended a process of it", more_memory(own_kernel=own_kernel))


def more_memory(*, own_kernel: bool = False) -> str:
    """Return what to do if a machine had too little memory: --memory does not go with --vm."""
    if own_kernel:
        return "use a container with more --memory, or a directory with a Vagrantfile that gives the VM more"
    return "give it more --memory, or free some on this host"


def about_open_files(output: str) -> str:
    """Return which of a service's last lines is about the limit on open files; empty if none is."""
    return next((line for line in _that_count(output) if _OPEN_FILES.search(line[:_LONGEST])), "")


def of_open_files(found: str, hard: int, asked: int) -> Limit | None:
    """Return the limit if a service reports, by the line `found`, too few open files, and a full machine has more.

    `hard` is how many there can be here, and `asked` how many its unit sets; 0 for none.
    """
    if not 0 < hard < OPEN_FILES or 0 < asked <= hard:
        return None
    what = f"open files: {hard} at most (RLIMIT_NOFILE): {found.strip()[:_LONGEST]}"
    return Limit(what, f"raise it on the host, before postroj: ulimit -n {OPEN_FILES}; or {FULL_MACHINE}")


def of_condition(condition: str, *, own_kernel: bool = False) -> Limit | None:
    """Return the limit if an unmet condition or assertion is one on the machine, as `ConditionVirtualization=no` is."""
    kind, _, parameter = condition.replace("Assert", "Condition", 1).partition("=")
    value = parameter.lstrip("|!")
    is_kernels = _KERNEL_PATHS.match(value) and not re.match(f"/dev/(?:{_IN_EACH_GUEST})", value)
    if kind not in CONDITIONS and not (kind.startswith(_OF_PATHS) and is_kernels):
        return None
    hint = _hint(FULL_MACHINE, own_kernel=own_kernel)
    if kind == "ConditionCapability" and "!" not in parameter and not own_kernel:
        option = "--privileged" if value in KERNEL_CAPABILITIES else f"--capability={value}"
        hint = f"{option} meets it in a container; {FULL_MACHINE}"
    return Limit(f"{condition} is not met", hint)


def of_device(unit: str, *, own_kernel: bool = False) -> Limit:
    """Return the limit that a device unit which never comes is: systemd.device(5)."""
    return Limit(f"there is no {unit}", _hint(FULL_MACHINE, own_kernel=own_kernel))


def of_exit_status(status: int, words: str, *, own_kernel: bool = False) -> Limit | None:
    """Return the limit if systemd could not start a program for a setting that the kernel refuses in a container.

    `words` are the last lines of the service: a program may end with such a status by itself.
    """
    setting = EXIT_STATUSES.get(status) if "Failed at step" in words else None
    if not setting or (own_kernel and status not in _OF_ANY_KERNEL):
        return None
    return Limit(f"{setting} is refused (status {status})", _hint(FULL_MACHINE, own_kernel=own_kernel))


def of_output(output: str, *, own_kernel: bool = False) -> Limit | None:
    """Return the limit that the last lines a program has printed report, if they do."""
    found = (_reported(line, own_kernel=own_kernel) for line in _that_count(output))
    return next((one[0] for one in found if one), None)


def _that_count(output: str) -> Iterator[str]:
    """Yield the last lines that may say why a program has failed, the last one first.

    A program goes on after a warning. And if a later line names another error, it was that one the program failed of:
    what follows a limit otherwise, such as "giving up", only says that it ends.
    """
    for line in reversed(output.splitlines()[-20:]):
        if not _WARNING.search(line[:_LONGEST]):
            yield line
            if _ERROR.search(line[:1000]):
                return


_OPEN_FILES = re.compile(
    r"(?<!too many )\bopen files\b|(?<!bad )\bfile ?(?:descriptor|handle)s?\b|\bnofile\b|\bulimit\b", re.IGNORECASE
)
OPEN_FILES = 1 << 19
"""How many a service can have on a full machine: systemd 240 and newer, DefaultLimitNOFILE=."""


def _hint(hint: str, *, own_kernel: bool) -> str:
    return _OTHER_MACHINE if own_kernel else hint


_WARNING = re.compile(
    r"""\bwarn(?:ing)?\b|(?<!", )\bignor(?:ed|ing)\b|\bskipp(?:ed|ing)\b|\bcontinu(?:e|ing)\b""", re.IGNORECASE
)  # sysctl says `, ignoring` of each key, and ends with a status of its own then
_ERROR = re.compile("|".join(re.escape(os.strerror(number)) for number in errno.errorcode), re.IGNORECASE)
# What follows the report of an error: mount(8) says where to look, and date(1) the time that it has not set.
_AFTERTHOUGHT = re.compile(
    r"dmesg\(1\) may have more information|Use --subdomainfs to override|\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \S+ \d{4}$"
)
_LOADED = re.compile(rf"\b(?:{_LOADERS})\s+(?:-\S+\s+)*([\w./-]+)")


def of_last_words(words: Sequence[str], script: str = "", *, own_kernel: bool = False) -> Limit | None:
    """Return the limit that kept a maintainer script, or dpkg, from going on.

    `words` are the lines before the end, oldest first. The last one must report the limit, or name what an earlier one
    reports: what was refused before, the script has got over. `script` is its text: it has the name of a module that
    no program was there to load.
    """
    said = [word.strip() for word in words if not _AFTERTHOUGHT.match(word.strip())]
    for word in reversed(said):
        if not (found := _reported(word, own_kernel=own_kernel)):
            continue
        limit, name = found
        if word is not said[-1] and not _repeats(said[-1], name, word):
            continue
        if "not found" in word and (module := _LOADED.search(script)):
            return Limit(f"kernel module {module[1]}: {word[:_LONGEST]}", limit.hint)
        return limit
    return None


def _repeats(last: str, name: str, word: str) -> bool:
    """Return whether the last line is about what an earlier one names, unless that is only the program it is of."""
    is_named = re.search(rf"(?<![\w./-]){re.escape(name)}(?![\w/-])", last[:1000])
    return bool(is_named) and not word.startswith(f"{name}:")


def _reported(line: str, *, own_kernel: bool) -> tuple[Limit, str] | None:
    """Return the limit that a line reports, and the name of what is lacking."""
    for report in REPORTS:
        if own_kernel and not report.may_lack:
            continue
        if found := re.search(report.pattern, line[:1000], re.IGNORECASE):
            name = found[1] or report.kind
            return Limit(
                f"{report.kind} {name}: {line.strip()[:_LONGEST]}", _hint(report.hint, own_kernel=own_kernel)
            ), name
    return None
