"""Why a unit has failed, in a few words: for the first line of the report. Asked of a guest that may be broken."""

import re
import signal

from postroj.machine import Machine, UnitFacts, UnitState
from postroj.probe import evidence

_MOST = 200
_NO_USER, _NO_GROUP = 217, 216
_EXIT_NAMES = {
    200: "CHDIR", 202: "FDS", 203: "EXEC", 208: "STDIN", 209: "STDOUT", 210: "CHROOT", 216: "GROUP", 217: "USER",
    218: "CAPABILITIES", 219: "CGROUP", 222: "STDERR", 224: "PAM", 225: "NETWORK", 226: "NAMESPACE", 228: "SECCOMP",
    233: "RUNTIME_DIRECTORY", 238: "STATE_DIRECTORY", 239: "CACHE_DIRECTORY", 240: "LOGS_DIRECTORY",
    241: "CONFIGURATION_DIRECTORY", 243: "CREDENTIALS",
}  # fmt: skip
"""systemd.exec(5), Process Exit Codes; those that limits.py has are left out."""

_SETTINGS = (
    "Type", "NotifyAccess", "PIDFile", "BusName", "WorkingDirectory", "EnvironmentFiles", "TimeoutStartUSec",
    "WatchdogUSec", "ExecCondition", "ExecStartPre", "ExecStart", "ExecStartPost",
)  # fmt: skip
_FIRST_PROGRAMS = ("ExecCondition", "ExecStartPre", "ExecStartPost")
_RUN = re.compile(r"argv\[\]=(?P<argv>.*?) ; .* code=(?P<code>exited|killed|dumped) ; status=(?P<status>[0-9]+)")
_STEP = re.compile(r"Failed at step [A-Z_]+ spawning (?P<program>.*?): (?P<error>.*)")
# What systemd says of each unit that fails, whatever the reason.
_OF_EACH = re.compile(
    r"Failed with result|Failed to run '|Failed to start|Main process exited|Control process exited|Scheduled restart"
    r"|Start request repeated|Consumed .* CPU time|Deactivated|Triggering OnFailure"
)


def of_failure(machine: Machine, name: str, state: UnitState, facts: UnitFacts, words: str) -> str:
    """Return why a service has failed; `words` are the last lines that it has printed. Empty if nothing tells.

    It never fails: what the guest does not tell is left out.
    """
    settings = _settings(machine, name)
    last = next((line.strip()[:_MOST] for line in reversed(words.splitlines()) if line.strip()), "")
    complaint = _complaint(machine, name)
    if facts.exit_status == _NO_USER and state.result == "exit-code":
        return _no_user(machine, facts)
    if facts.exit_status == _NO_GROUP and state.result == "exit-code":
        return f"the group of {facts.user or 'the unit'} does not exist (216/GROUP)"
    if state.result == "timeout":
        return _with(_late(settings), last)
    if state.result == "protocol":
        return _with(_unannounced(settings), last)
    if state.result == "watchdog":
        return _with(f"no WATCHDOG=1 came within {settings.get('WatchdogUSec', 'WatchdogSec=')}", last)
    if state.result == "resources":
        return _with(complaint, _environment_files(settings) if "environment files" in complaint else "")
    if state.result in ("signal", "core-dump"):
        return _with(_killed(facts.exit_status) if facts.exit_status else "", last)
    if not facts.exit_status and (run := _failed_run(settings)):
        return _with(run, last)
    if not facts.exit_status:
        return last or complaint
    status = f"status {facts.exit_status}"
    if step := _EXIT_NAMES.get(facts.exit_status):
        return _with(f"{status}/{step}", _step(step, complaint, settings))
    return _with(status, last)


def of_load(machine: Machine, name: str) -> str:
    """Return why systemd cannot load a unit: what is wrong in its file."""
    said = evidence.ask(machine, ["systemd-analyze", "verify", "--man=no", "--", name])
    lines = [line.strip() for line in said.splitlines() if name in line and "has a bad unit file setting" not in line]
    return (lines[-1] if lines else _complaint(machine, name))[:_MOST]


def _with(what: str, more: str) -> str:
    return ": ".join(filter(None, (what, more)))


def _settings(machine: Machine, name: str) -> dict[str, str]:
    """Return settings of a unit as `systemctl show` prints them; programs by the last that failed, or else the last."""
    shown = evidence.ask(machine, ["systemctl", "show", f"--property={','.join(_SETTINGS)}", "--", name])
    settings: dict[str, str] = {}
    for line in shown.splitlines():
        key, _, value = line.partition("=")
        found = _RUN.search(value)
        if key not in settings or (found and found["status"] != "0"):
            settings[key] = value
    return settings


def _complaint(machine: Machine, name: str) -> str:
    """Return the last line of systemd itself that says more than that the unit has failed."""
    argv = ["journalctl", "--no-pager", "--quiet", "--lines=50", "--output=cat", f"UNIT={name}"]
    lines = [line.strip().removeprefix(f"{name}: ") for line in evidence.ask(machine, argv).splitlines()]
    telling = [line for line in lines if re.search(r"fail|can't|cannot|refus|timed out", line, re.IGNORECASE)]
    return next((line[:_MOST] for line in reversed(telling) if not _OF_EACH.search(line)), "")


def _no_user(machine: Machine, facts: UnitFacts) -> str:
    if not facts.user:
        return "its user does not exist (217/USER)"
    file = evidence.sysusers_of(machine, facts.user)
    applied = f"; {file} was never applied: call systemd-sysusers in the postinst" if file else ""
    return f"the user {facts.user} does not exist (217/USER){applied}"


def _late(settings: dict[str, str]) -> str:
    within = f"within {settings.get('TimeoutStartUSec') or 'its TimeoutStartSec='}"
    return {
        "notify": f"no READY=1 came {within} (Type=notify)",
        "notify-reload": f"no READY=1 came {within} (Type=notify-reload)",
        "dbus": f"the bus name {settings.get('BusName', '')} was not taken {within} (Type=dbus)",
        "forking": f"{_pid_file(settings)} {within} (Type=forking)",
    }.get(settings.get("Type", ""), f"it did not start {within}")


def _pid_file(settings: dict[str, str]) -> str:
    file = settings.get("PIDFile")
    return f"PIDFile={file} was not written" if file else "its first process did not end"


def _unannounced(settings: dict[str, str]) -> str:
    """Return what a service has not done before it ended."""
    kind = settings.get("Type", "")
    if kind.startswith("notify"):
        return f"it ended before READY=1 came (Type={kind})"
    return f"{_pid_file(settings)} (Type={kind})" if settings.get("PIDFile") else "it ended before it was ready"


def _environment_files(settings: dict[str, str]) -> str:
    return f"EnvironmentFile={settings['EnvironmentFiles'].split(' (')[0]}" if "EnvironmentFiles" in settings else ""


def _killed(signum: int) -> str:
    try:
        return f"killed by {signal.Signals(signum).name}"
    except ValueError:
        return f"killed by signal {signum}"


def _failed_run(settings: dict[str, str]) -> str:
    """Return which of the programs that run beside the main one has failed."""
    for key in _FIRST_PROGRAMS:
        run = _RUN.search(settings.get(key, ""))
        if run and run["status"] != "0":
            return f"{key}={run['argv'][:_MOST]} failed (status {run['status']})"
    return ""


def _step(step: str, complaint: str, settings: dict[str, str]) -> str:
    """Return what systemd could not do before the program ran."""
    found = _STEP.search(complaint)
    if not found:
        return complaint
    if step == "EXEC":
        return f"cannot execute {found['program']}: {found['error']}"
    if step == "CHDIR" and settings.get("WorkingDirectory"):
        return f"WorkingDirectory={settings['WorkingDirectory']}: {found['error']}"
    return found["error"]
