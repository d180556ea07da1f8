"""Why a unit has failed, in a few words: for the first line of the report. Asked of a guest that may be broken."""

import re
import signal
from collections.abc import Sequence
from typing import NamedTuple

from postroj.contract import Machine, UnitFacts, UnitState
from postroj.lastwords import telling
from postroj.probe import evidence, steps, unitfile

_MOST = 200
_NO_USER, _NO_GROUP = 217, 216
_SETTINGS = (
    "Type", "NotifyAccess", "PIDFile", "BusName", "EnvironmentFiles", "TimeoutStartUSec", "WatchdogUSec", "Group",
    "SupplementaryGroups", "MemoryMax", "ExecCondition", "ExecStartPre", "ExecStart", "ExecStartPost",
)  # fmt: skip
_FIRST_PROGRAMS = ("ExecCondition", "ExecStartPre", "ExecStartPost")
_END = re.compile(r"(?:exited|killed|dumped) ; status=([0-9]+)")
_OF_EACH_LOAD = re.compile("has a bad unit file setting|Unit configuration has fatal error|is not executable")
# What systemd says of each unit that fails, whatever the reason.
_OF_EACH = re.compile(
    r"Failed with result|Failed to run '|Failed to start|Main process exited|Control process exited|Scheduled restart"
    r"|Start request repeated|Consumed .* CPU time|Deactivated|Triggering OnFailure"
)


class Why(NamedTuple):
    """Why a service has failed."""

    what: str = ""
    """In a few words; empty if nothing tells."""
    setting: str = ""
    """The setting that systemd could not apply, and why; empty if it could."""


def of_failure(machine: Machine, name: str, state: UnitState, facts: UnitFacts, words: str, said: Sequence[str]) -> Why:
    """Return why a service has failed.

    `words` are the last lines that it has printed, `said` is what `complaints` returned. It never fails: what the guest
    does not tell is left out.
    """
    settings = _settings(machine, name)
    if state.result in _OF_PROTOCOL:
        return Why(_with(_OF_PROTOCOL[state.result](settings), last(machine, name, words)))
    complaint = said[-1] if said else ""
    if state.result == "resources":
        return Why(_with(complaint, _environment_files(settings) if "environment files" in complaint else ""))
    if state.result == "oom-kill":
        killed = f"the kernel's OOM killer ended a process of it, at its MemoryMax={_memory_max(settings)}"
        return Why(_with(killed, last(machine, name, words)))
    if state.result in ("signal", "core-dump"):
        return Why(_with(_killed(facts.exit_status) if facts.exit_status else "", last(machine, name, words)))
    key, run = _failed_run(settings) if not facts.exit_status else ("", None)
    status = run.status if run else facts.exit_status
    if not status:
        return Why(last(machine, name, words) or complaint)
    if status == _NO_USER:
        return Why(_no_user(machine, facts))
    if status == _NO_GROUP:
        return Why(_no_group(machine, settings))
    file = unitfile.read(machine, name)
    step = steps.EXIT_NAMES.get(status, "") if steps.has_failed(said) or not words else ""
    shown = f"status {status}{step and f'/{step}'}"
    how = f"{key}={run.argv[:_MOST]} failed ({shown})" if run else shown
    if step:
        setting = steps.reason(machine, step, said, file)
        return Why(_with(how, setting), setting)
    if told := last(machine, name, words):
        return Why(_with(how, told))
    return Why(f"{how}, and it printed nothing" if _prints_to_journal(file) else how)


def last(machine: Machine, name: str, words: str) -> str:
    """Return the line of a service's last words that tells most, or else of its log file; empty if there is none."""
    return (telling(words.splitlines()) or evidence.last_of_log(machine, name))[:_MOST]


def of_end(facts: UnitFacts) -> str:
    """Return how a service has ended that has not failed, and was to stay."""
    if facts.exit_status:
        return "it was stopped"
    forks = "; if it forks, it needs Type=forking" if facts.kind in ("simple", "exec") else ""
    return f"its main process has ended with success (Type={facts.kind}){forks}" if facts.kind else "it was stopped"


def memory_limit(machine: Machine, name: str) -> str:
    """Return the MemoryMax= of a unit in bytes; empty if it sets none."""
    return _memory_max(_settings(machine, name))


def _memory_max(settings: dict[str, str]) -> str:
    value = settings.get("MemoryMax", "")
    return value if value.isdigit() else ""  # and not `infinity`


def of_load(machine: Machine, name: str) -> str:
    """Return why systemd cannot load a unit: what is wrong in its file."""
    said = evidence.ask(machine, ["systemd-analyze", "verify", "--man=no", "--", name])
    lines = [line.strip() for line in said.splitlines() if name in line and not _OF_EACH_LOAD.search(line)]
    return ([*complaints(machine, name), *lines] or [""])[-1]


def _with(what: str, more: str) -> str:
    return ": ".join(filter(None, (what, more)))


def _settings(machine: Machine, name: str) -> dict[str, str]:
    """Return settings of a unit as `systemctl show` prints them; programs by the last that failed, or else the last."""
    shown = evidence.ask(machine, ["systemctl", "show", f"--property={','.join(_SETTINGS)}", "--", name])
    settings: dict[str, str] = {}
    for line in shown.splitlines():
        key, _, value = line.partition("=")
        run = _run(value)
        if key not in settings or (run and run.status):
            settings[key] = value
    return settings


def complaints(machine: Machine, name: str) -> list[str]:
    """Return the lines of systemd itself that say more than that the unit has failed, the newest last."""
    argv = ["journalctl", "--no-pager", "--quiet", "--lines=50", "--output=cat", f"UNIT={name}"]
    lines = [line.strip().removeprefix(f"{name}: ")[:_MOST] for line in evidence.ask(machine, argv).splitlines()]
    telling = [line for line in lines if re.search(r"fail|can't|cannot|refus|timed out", line, re.IGNORECASE)]
    return [line for line in telling if not _OF_EACH.search(line)]


def _no_group(machine: Machine, settings: dict[str, str]) -> str:
    groups = f"{settings.get('Group', '')} {settings.get('SupplementaryGroups', '')}".split()
    known = evidence.ask(machine, ["getent", "group", "--", *groups]) if groups else ""
    there = {line.split(":")[0] for line in known.splitlines()}
    group = next((group for group in groups if group not in there), "")
    return f"the group {group} does not exist (216/GROUP){_not_applied(machine, group)}"


def _no_user(machine: Machine, facts: UnitFacts) -> str:
    if not facts.user:
        return "its user does not exist (217/USER)"
    return f"the user {facts.user} does not exist (217/USER){_not_applied(machine, facts.user)}"


def _not_applied(machine: Machine, user_or_group: str) -> str:
    file = evidence.sysusers_of(machine, user_or_group) if user_or_group else ""
    return f"; {file} was never applied: call systemd-sysusers in the postinst" if file else ""


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


class _Run(NamedTuple):
    """A program of a unit that has run to its end."""

    argv: str
    status: int


def _run(value: str) -> _Run | None:
    """Return what `systemctl show` prints of a program, if it has ended; its arguments may be of any length."""
    begin, _, end = value.rpartition(" ; code=")
    found = _END.match(end)
    return _Run(begin.partition("argv[]=")[2].partition(" ; ")[0], int(found[1])) if found else None


def _failed_run(settings: dict[str, str]) -> tuple[str, _Run | None]:
    """Return which of the programs that run beside the main one has failed, and its setting."""
    for key in _FIRST_PROGRAMS:
        run = _run(settings.get(key, ""))
        if run and run.status:
            return key, run
    return "", None


def _prints_to_journal(file: unitfile.UnitFile) -> bool:
    """Return whether all that a service prints is in the journal."""
    streams = [file.last("StandardOutput"), file.last("StandardError")]
    return all(stream in ("", "inherit") or stream.startswith(("journal", "syslog", "kmsg")) for stream in streams)


def _unwatched(settings: dict[str, str]) -> str:
    return f"no WATCHDOG=1 came within {settings.get('WatchdogUSec', 'WatchdogSec=')}"


_OF_PROTOCOL = {"timeout": _late, "protocol": _unannounced, "watchdog": _unwatched}
"""What a service has not told systemd, by its Result."""
