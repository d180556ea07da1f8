"""Why systemd could not start a program: the step that failed, and the setting that it is about."""

import os
import re
from collections.abc import Sequence

from postroj.contract import Machine
from postroj.probe import evidence, paths, users
from postroj.probe.unitfile import UnitFile

_MOST = 200
_EXEC = "EXEC"
_PROGRAM_PLACES = ("/bin/", "/sbin/", "/usr/", "/opt/", "/srv/")
EXIT_NAMES = {
    200: "CHDIR", 202: "FDS", 203: _EXEC, 204: "MEMORY", 207: "SIGNAL_MASK", 208: "STDIN", 209: "STDOUT", 210: "CHROOT",
    212: "TIMERSLACK", 213: "SECUREBITS", 216: "GROUP", 217: "USER", 218: "CAPABILITIES", 219: "CGROUP", 220: "SETSID",
    221: "CONFIRM", 222: "STDERR", 224: "PAM", 225: "NETWORK", 226: "NAMESPACE", 227: "NO_NEW_PRIVILEGES",
    228: "SECCOMP", 230: "PERSONALITY", 232: "ADDRESS_FAMILIES", 233: "RUNTIME_DIRECTORY", 235: "CHOWN", 237: "KEYRING",
    238: "STATE_DIRECTORY", 239: "CACHE_DIRECTORY", 240: "LOGS_DIRECTORY", 241: "CONFIGURATION_DIRECTORY",
    243: "CREDENTIALS", 244: "BPF", 245: "KSM",
}  # fmt: skip
"""systemd.exec(5), Process Exit Codes; those that limits.py has are left out."""

_EXTENSIONS = ("ExtensionImages", "ExtensionDirectories")
_ROOTS = ("RootDirectory", "RootImage")
_SETTINGS: dict[str, tuple[str, ...]] = {
    "CHDIR": ("WorkingDirectory",),
    "FDS": ("OpenFile",),
    "STDIN": ("StandardInput", "TTYPath"),
    "STDOUT": ("StandardOutput", "StandardInput"),
    "STDERR": ("StandardError", "StandardOutput", "StandardInput"),
    "CHROOT": _ROOTS,
    "TIMERSLACK": ("TimerSlackNSec",),
    "SECUREBITS": ("SecureBits",),
    "CAPABILITIES": ("CapabilityBoundingSet", "AmbientCapabilities"),
    "CGROUP": ("Slice",),
    "PAM": ("PAMName",),
    "NETWORK": ("NetworkNamespacePath", "PrivateNetwork"),
    "NAMESPACE": (
        *_ROOTS, "BindPaths", "BindReadOnlyPaths", "ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths", "ExecPaths",
        "NoExecPaths", "TemporaryFileSystem", "MountImages", *_EXTENSIONS, "IPCNamespacePath", "NetworkNamespacePath",
    ),
    "NO_NEW_PRIVILEGES": ("NoNewPrivileges",),
    "SECCOMP": (
        "SystemCallFilter", "SystemCallArchitectures", "SystemCallLog", "RestrictNamespaces", "RestrictRealtime",
        "RestrictSUIDSGID", "MemoryDenyWriteExecute", "LockPersonality", "ProtectKernelModules",
        "ProtectKernelTunables", "ProtectKernelLogs", "ProtectClock", "ProtectHostname", "PrivateDevices",
    ),
    "PERSONALITY": ("Personality",),
    "ADDRESS_FAMILIES": ("RestrictAddressFamilies",),
    "RUNTIME_DIRECTORY": ("RuntimeDirectory",),
    "KEYRING": ("KeyringMode",),
    "STATE_DIRECTORY": ("StateDirectory",),
    "CACHE_DIRECTORY": ("CacheDirectory",),
    "LOGS_DIRECTORY": ("LogsDirectory",),
    "CONFIGURATION_DIRECTORY": ("ConfigurationDirectory",),
    "CREDENTIALS": ("LoadCredential", "LoadCredentialEncrypted", "SetCredentialEncrypted"),
    "BPF": ("RestrictFileSystems",),
    "KSM": ("MemoryKSM",),
}  # fmt: skip
"""The settings that each step is about."""
_BELOW = {
    "RUNTIME_DIRECTORY": "/run", "STATE_DIRECTORY": "/var/lib", "CACHE_DIRECTORY": "/var/cache",
    "LOGS_DIRECTORY": "/var/log", "CONFIGURATION_DIRECTORY": "/etc",
}  # fmt: skip
"""The directories that the values of these are below."""
_INHERIT = ("STDOUT", "STDERR")
"""Steps of which the first setting counts that is there: the others are its default."""

_STEP = re.compile(r"Failed at step [A-Z_]+ spawning (?P<program>.*?): (?P<error>.*)")
_UNIT_ROOT = re.compile(r"/run/systemd/(?:unit-root|mount-rootfs)")
_MODE = re.compile("[0-7]{1,4}")
_CRLF = "its first line ends with a carriage return (CRLF): its lines must end as on Unix"
_LOADER = re.compile(r"/lib[\w/.-]*/ld[\w.-]*\.so[.\d]*")
_PATH = re.compile(r"(?<![\w/.-])'?(/[^:']*)'?: [^:]+$")


def has_failed(complaints: Sequence[str]) -> bool:
    """Return whether it was systemd that ended with its exit status: a program may have any by itself."""
    return any(_STEP.search(line) for line in complaints)


def complaint(complaints: Sequence[str]) -> str:
    """Return what systemd has said before it told which step has failed; empty if nothing."""
    before = [line for line in complaints if not _STEP.search(line)]
    return before[-1] if before and has_failed(complaints) else ""


def reason(machine: Machine, step: str, complaints: Sequence[str], file: UnitFile) -> str:
    """Return what systemd could not do before a program ran: the setting by name, with its value, and the error.

    `complaints` are the lines of systemd on the unit, the newest last. Empty if nothing tells: a process of another
    root directory does not reach the journal.
    """
    failed = next((found for line in reversed(complaints) if (found := _STEP.search(line))), None)
    if not failed:
        root = _root(file) if step == _EXEC else ""
        return f"cannot execute its program below {root}" if root else ""
    error = failed["error"]
    if step == _EXEC:
        return _not_executed(machine, failed["program"], error, file)
    before = [_UNIT_ROOT.sub("", line) for line in complaints if not _STEP.search(line)]
    complaint = before[-1] if before else error
    if step == "CREDENTIALS" and (absent := _absent_credential(machine, file)):
        return absent
    named = _named(step, complaint, file)
    if not named:
        return complaint
    shown = ", ".join(named)[:_MOST]
    if step in _BELOW and len(named) == 1 and " " not in shown:
        shown += f" ({_BELOW[step]}/{shown.partition('=')[2]})"
    return f"{shown}: {error if len(named) == 1 else complaint}"


def _named(step: str, complaint: str, file: UnitFile) -> list[str]:
    """Return the settings that may be at fault, as they are written in the file."""
    there = [(key, value) for key in _SETTINGS.get(step, ()) for value in file.settings.get(key, ())]
    if found := _PATH.search(complaint):
        of_path = [f"{key}={word}" for key, value in there for word in value.split() if _is_about(word, found[1])]
        if of_path:
            return of_path[:1]
    if step == "NAMESPACE":  # the others are told by their path
        keys = _EXTENSIONS if "/unit-extensions/" in complaint else () if found else _ROOTS
        there = [(key, value) for key, value in there if key in keys]
    elif step in _INHERIT:
        there = there[:1]
    return [f"{key}={value}" for key, value in there]


def _is_about(word: str, path: str) -> bool:
    """Return whether a word of a setting, such as `-/srv/a:/b`, is about a path."""
    return path.rstrip("/") in [part.lstrip("-+").rstrip("/") for part in word.split(":")]


def _absent_credential(machine: Machine, file: UnitFile) -> str:
    """Return the credential whose file is not there: systemd says `Protocol error` of whatever is wrong with one."""
    for key in ("LoadCredential", "LoadCredentialEncrypted"):
        for value in file.settings.get(key, ()):
            path = value.partition(":")[2]
            if path.startswith("/") and evidence.ask(machine, ["ls", "-d", "--", path]) != path:
                return f"{key}={value}: No such file or directory"
    return ""


def _root(file: UnitFile) -> str:
    return next((f"{key}={file.last(key)}" for key in _ROOTS if key in file.settings), "")


def _not_executed(machine: Machine, program: str, error: str, file: UnitFile) -> str:
    """Return why a program cannot be executed: its file is not there, or the interpreter of a script is not."""
    if root := _root(file):
        return f"cannot execute {program} below {root}: {error}"
    return f"cannot execute {program}: {_of_file(machine, program, error, file) or error}"


def _not_permitted(machine: Machine, program: str, file: UnitFile) -> str:
    """Return, as a clause, what keeps the user of a unit from a program: a dynamic one may what everybody may."""
    if file.is_on("DynamicUser"):
        return paths.not_executable(machine, users.NOBODY, program).replace(users.NOBODY, "its dynamic user", 1)
    return paths.not_executable(machine, file.last("User"), program)


def _elsewhere(machine: Machine, program: str) -> str:
    """Return, as a clause, where a program is that is not where it is looked for."""
    found = evidence.elsewhere(machine, os.path.basename(program)) if program.startswith("/") else []
    found = [path for path in found if path.startswith(_PROGRAM_PLACES)]
    return f"there is {found[0]}" if found else ""


def carriage_return(machine: Machine, program: str) -> str:
    """Return, as a clause, that the first line of a script ends with a carriage return; empty if it does not."""
    first = _begin(machine, program).split("\n")[0] if program.startswith("/") else ""
    return f"{program}: {_CRLF}" if first.startswith("#!") and first.endswith("\r") else ""


def _begin(machine: Machine, program: str) -> str:
    return evidence.ask(machine, ["head", "--bytes=4096", "--", program])


def _of_file(machine: Machine, program: str, error: str, file: UnitFile) -> str:
    """Return what is wrong with a program that is there and cannot be executed: execve(2)."""
    if error.startswith("Permission denied"):
        mode = evidence.ask(machine, ["stat", "--dereference", "--format=%a", "--", program])
        is_executable = not _MODE.fullmatch(mode) or int(mode, 8) & 0o111
        if not is_executable:
            return f"{error}: it is not executable (mode {mode})"
        barred = _not_permitted(machine, program, file)
        return f"{error}: {barred}" if barred else ""
    begin = _begin(machine, program)
    first = begin.split("\n")[0]
    if error.startswith("No such file"):
        if first.startswith("#!") and first.endswith("\r"):
            return _CRLF
        if first.startswith("#!") and (words := first[2:].split()):
            why = paths.dangling(machine, words[0])
            return f"its interpreter {words[0][:_MOST]} does not exist{f': {why}' if why else ''}"
        if first.startswith("\x7fELF") and (loader := _LOADER.search(begin)):
            return f"its ELF interpreter {loader[0]} does not exist: it is built for another C library or architecture"
        if why := (paths.dangling(machine, program) or _elsewhere(machine, program)):
            return f"{error}: {why}"
    if error.startswith("Exec format error"):
        if first.startswith("\ufeff"):
            return f"{error}: it begins with a byte order mark, and not with #!"
        if first.startswith("\x7fELF"):
            return f"{error}: it is built for another architecture"
        if first.isprintable() and not first.startswith("#!"):
            return f"{error}: its first line does not begin with #!"
    return ""
