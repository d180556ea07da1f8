"""Why a unit has failed, in a few words: for the first line of the report. Asked of a guest that may be broken."""

import re
import signal
from collections.abc import Collection, Sequence
from typing import NamedTuple

from postroj.contract import Machine, UnitFacts, UnitState
from postroj.lastwords import is_notice, telling, tells
from postroj.probe import evidence, misread, notify, objects, programs, protocol, steps, tmpfiles, told, unitfile, users
from postroj.probe.unitfile import UnitFile

_MOST = 200
_NO_USER, _NO_GROUP = 217, 216
_SETTINGS = (
    "Type", "NotifyAccess", "PIDFile", "BusName", "EnvironmentFiles", "TimeoutStartUSec", "TimeoutStopUSec",
    "RuntimeMaxUSec", "WatchdogUSec", "Group", "SupplementaryGroups", "DynamicUser", "MemoryMax", "ExecCondition",
    "ExecStartPre", "ExecStart", "ExecStartPost",
)  # fmt: skip
_NOT_ASSIGNED = "Ignoring invalid environment assignment"
_NOT_RUN = (126, 127)
"""How a shell ends whose command cannot be executed, or is not there."""
_NAMES = re.compile(r"not found|ermission denied|No such file")
_CLEAN = (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE)
"""Signals that end a service with success, and that nobody sends to stop it: systemd.service(5), SuccessExitStatus=."""
_STOPPED = (signal.SIGTERM, signal.SIGKILL, 128 + signal.SIGTERM, 128 + signal.SIGKILL, 128 + signal.SIGINT)
"""How a main process ends that is stopped."""
_FILTERS = ("SystemCallFilter", "SystemCallArchitectures")
"""Settings that kill a process by SIGSYS; others refuse system calls with an error."""
_OF_EACH_LOAD = re.compile("has a bad unit file setting|Unit configuration has fatal error|is not executable")
_COMPLAINS = re.compile(
    r"fail|can't|cannot|refus|timed out|time limit|ignoring invalid|remains running|left-over|is a zombie",
    re.IGNORECASE,
)
# What systemd says of each unit that fails, whatever the reason.
_OF_EACH = re.compile(
    r"Failed with result|Failed to run '|Failed to start|Main process exited|Control process exited|Scheduled restart"
    r"|Start request repeated|Consumed .* CPU time|Deactivated|Triggering OnFailure"
)


_LEFT_OVER = re.compile(
    r"Unit process (?P<one>\d+ \(.{1,40}\)) remains running after unit stopped"
    r"|Found left-over process (?P<other>\d+ \(.{1,40}\)) in control group"
)


class Why(NamedTuple):
    """Why a service has failed."""

    what: str = ""
    """In a few words; empty if nothing tells."""
    setting: str = ""
    """The setting that systemd could not apply, and why; empty if it could."""


def of_failure(
    machine: Machine,
    name: str,
    state: UnitState,
    facts: UnitFacts,
    words: str,
    said: Sequence[str],
    ports: Collection[int] = (),
) -> Why:
    """Return why a service has failed.

    `words` are the last lines that it has printed, `said` is what `complaints` returned, `ports` those that are to be
    checked. It never fails: what the guest does not tell is left out.
    """
    settings = _settings(machine, name)
    if state.result in protocol.RESULTS:
        what = protocol.of_result(machine, state.result, settings, said)
        is_notifying = settings.get("Type", "").startswith("notify") or state.result == "watchdog"
        if is_notifying and (refused := notify.refused(machine, name, settings.get("NotifyAccess", ""))):
            return Why(_with(what, refused))
        return Why(_with_last(what, last(machine, name, words)))
    complaint = said[-1] if said else ""
    if state.result == "resources":
        return Why(_with(complaint, _environment_files(machine, settings) if "environment files" in complaint else ""))
    if state.result == "oom-kill":
        killed = f"the kernel's OOM killer ended a process of it, at its MemoryMax={_memory_max(settings)}"
        return Why(_with_last(killed, last(machine, name, words)))
    if state.result in ("signal", "core-dump"):
        killed = _killed(machine, name, facts.exit_status) if facts.exit_status else ""
        return Why(_with_last(killed, last(machine, name, words)))
    key, run = "", None
    if not facts.exit_status:
        key, run = programs.failed(settings)
    elif facts.exit_status in _STOPPED:  # as one is that runs when its ExecStartPost= fails
        key, run = programs.failed(settings, ("ExecStartPost",))
    status = run.status if run else facts.exit_status
    if not status:
        return Why(_without_status(machine, name, state, facts, last(machine, name, words), complaint))
    is_dynamic = settings.get("DynamicUser") == "yes"
    if status == _NO_USER:
        return Why(users.no_user(machine, facts.user, steps.complaint(said)))
    if status == _NO_GROUP:
        more = settings.get("SupplementaryGroups", "").split()
        group = settings.get("Group", "")
        return Why(users.no_group(machine, group, more, is_dynamic=is_dynamic, complaint=steps.complaint(said)))
    file = unitfile.read(machine, name)
    step = steps.EXIT_NAMES.get(status, "") if steps.has_failed(said) or not words else ""
    shown = f"status {status}{step and f'/{step}'}"
    how = f"{key}={run.argv[:_MOST]} failed ({shown})" if run else shown
    if step:
        setting = steps.reason(machine, step, said, file)
        is_absent = "No such file" in setting
        clause = tmpfiles.not_applied(machine, setting.replace("=", " ")) if is_absent else ""
        return Why("; ".join(filter(None, (_with(how, setting), clause))), setting)
    line = last(machine, name, words)
    error = objects.Error(machine, name, line, words, facts, file, ports)
    if line:
        how = f"{how}; it last printed: {line}" if is_notice(line) else _with(how, error.shown)
    elif _prints_to_journal(file):
        how += ", and it printed nothing"
    is_absent = status in _NOT_RUN and not _NAMES.search(line)
    clauses = (
        steps.carriage_return(machine, programs.main(settings)),
        error.clause(),
        programs.lacking(machine, run.argv if run else programs.main_argv(settings), status) if is_absent else "",
        told.about(error.text, facts, file),
        next((f"systemd says: {one}" for one in said if one.startswith(_NOT_ASSIGNED)), ""),
        _unreadable(machine, name, settings, facts, file),
        _left_over(said, file),
        *misread.clauses(machine, name, file),
    )
    return Why("; ".join([how, *filter(None, clauses)]))


def last(machine: Machine, name: str, words: str) -> str:
    """Return the line of a service's last words that tells most, or else of its log file; empty if there is none."""
    return (telling(words.splitlines()) or evidence.last_of_log(machine, name))[:_MOST]


def of_end(machine: Machine, name: str, facts: UnitFacts, line: str = "") -> str:
    """Return how a service has ended that has not failed, and was to stay; `line` is what it has printed last."""
    if facts.exit_status in _CLEAN:
        killed = signal.Signals(facts.exit_status).name
        return _with_last(f"its main process was killed by {killed}, which systemd takes for success", line)
    if facts.exit_status in _STOPPED:
        return f"it was stopped{_conflicting(machine, name)}"
    if facts.exit_status:
        how = f"its main process has ended with status {facts.exit_status}, which its unit takes for success"
        return _with_last(f"{how} (SuccessExitStatus=, or ExecStart=-)", line)
    if not facts.kind:
        return "it was stopped"
    ended = _with_last(f"its main process has ended with success (Type={facts.kind})", line)
    forks = ["if it forks, it needs Type=forking"] if facts.kind in ("simple", "exec") else []
    return "; ".join([ended, *misread.clauses(machine, name, unitfile.read(machine, name)), *forks])


def of_reload(machine: Machine, name: str, since: str) -> str:
    """Return the line of the journal that tells most of why a unit was not reloaded; `since` is journalctl's option."""
    lines = evidence.journal(machine, 50, since, f"UNIT={name}", "+", f"_SYSTEMD_UNIT={name}")
    own = [line for line in lines if not line.startswith(("Reloading ", "Reload failed", f"{name}: Control process"))]
    return telling(own)[:_MOST]


def _conflicting(machine: Machine, name: str) -> str:
    """Return, as a clause, the active units that a unit cannot run beside: starting one has stopped it."""
    shown = evidence.ask(machine, ["systemctl", "show", "--property=Conflicts,ConflictedBy", "--", name])
    units = [unit for line in shown.splitlines() for unit in line.partition("=")[2].split()]
    if not units:
        return ""
    listing = ["systemctl", "list-units", "--state=active", "--plain", "--no-legend", "--no-pager", "--full"]
    active = [line.split()[0] for line in evidence.ask(machine, [*listing, "--", *units]).splitlines() if line.split()]
    there = [unit for unit in units if unit in active]
    return f": {there[0]} is active, and they conflict (Conflicts=)" if there else ""


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
    told = ([*complaints(machine, name), *lines] or [""])[-1]
    # What was ignored may be what lacks then: a timer whose OnCalendar= cannot be read has none.
    return "; ".join([told, *misread.clauses(machine, name, unitfile.read(machine, name))])


def _with(what: str, more: str) -> str:
    return ": ".join(filter(None, (what, more)))


def _with_last(what: str, line: str) -> str:
    """Return why a service was ended by another, with its last line, which may be no reason at all."""
    return _with(what, line) if not what or tells(line) else f"{what}; it last printed: {line}" if line else what


def _without_status(machine: Machine, name: str, state: UnitState, facts: UnitFacts, line: str, complaint: str) -> str:
    """Return why a service has ended of which no process has failed."""
    if state.result == "success" and facts.kind and "auto-restart" in state.sub:
        return of_end(machine, name, facts, line)
    return line or complaint


def _unreadable(
    machine: Machine, name: str, settings: dict[str, str], facts: UnitFacts, file: unitfile.UnitFile
) -> str:
    """Return a file of its that the user of a service cannot read, as far as it is known who that is."""
    is_dynamic = settings.get("DynamicUser") == "yes"
    has_groups = settings.get("Group", "") not in ("", facts.user) or settings.get("SupplementaryGroups")
    if has_groups or not (facts.user or is_dynamic):
        return ""
    return users.unreadable(machine, name, "" if is_dynamic else facts.user, file)


def _settings(machine: Machine, name: str) -> dict[str, str]:
    """Return settings of a unit as `systemctl show` prints them; programs by the last that failed, or else the last."""
    shown = evidence.ask(machine, ["systemctl", "show", f"--property={','.join(_SETTINGS)}", "--", name])
    settings: dict[str, str] = {}
    for line in shown.splitlines():
        key, _, value = line.partition("=")
        run = programs.run(value)
        if key not in settings or (run and run.status):
            settings[key] = value
    return settings


def complaints(machine: Machine, name: str) -> list[str]:
    """Return the lines of systemd itself that say more than that the unit has failed, the newest last."""
    said = evidence.journal(machine, 50, f"UNIT={name}")
    lines = [line.strip().removeprefix(f"{name}: ")[:_MOST] for line in said]
    telling = [line for line in lines if _COMPLAINS.search(line)]
    return [line for line in telling if not _OF_EACH.search(line)]


def _environment_files(machine: Machine, settings: dict[str, str]) -> str:
    path = settings.get("EnvironmentFiles", "").split(" (")[0]
    there = evidence.like(machine, path) if path else ""
    return (f"EnvironmentFile={path}" if path else "") + (f"; there is {there}" if there else "")


def _killed(machine: Machine, name: str, signum: int) -> str:
    try:
        killed = f"killed by {signal.Signals(signum).name}"
    except ValueError:
        return f"killed by signal {signum}"
    if signum == signal.SIGILL:
        return f"{killed}: it may be built for a CPU with instructions that this one does not have (-march=)"
    if signum != signal.SIGSYS:
        return killed
    file = unitfile.read(machine, name)
    key = next((key for key in _FILTERS if key in file.settings), "")
    by = f"{key}={' '.join(file.settings[key])}" if key else "a seccomp filter, which no setting of its unit is"
    return f"{killed}: it made a system call that is forbidden by {by}"[:_MOST]


def _prints_to_journal(file: unitfile.UnitFile) -> bool:
    """Return whether all that a service prints is in the journal."""
    streams = [file.last("StandardOutput"), file.last("StandardError")]
    return all(stream in ("", "inherit") or stream.startswith(("journal", "syslog", "kmsg")) for stream in streams)


def _left_over(said: Sequence[str], file: UnitFile) -> str:
    """Return, as a clause, a process that the last stop of a unit has left: systemd.kill(5), KillMode=."""
    found = next(filter(None, map(_LEFT_OVER.search, said)), None)
    if not found:
        return ""
    mode = file.last("KillMode")
    why = f", as its unit sets KillMode={mode}" if mode in ("process", "mixed", "none") else ""
    return f"process {found['one'] or found['other']} of its last run is still there{why}"
