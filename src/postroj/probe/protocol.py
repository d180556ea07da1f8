"""What a service has not told systemd in time, or not done: its Result is timeout, protocol or watchdog."""

import re
from collections.abc import Mapping, Sequence

from postroj.contract import Machine
from postroj.probe import programs

RESULTS = ("timeout", "protocol", "watchdog")
_MOST = 200
_NO_SUCH_PID = re.compile(r"New main PID (\d+) does not exist or is a zombie")
_STEP_TIMED_OUT = re.compile("(start-pre|start-post) operation timed out")


def of_result(machine: Machine, result: str, settings: Mapping[str, str], said: Sequence[str]) -> str:
    """Return what it is, in a few words. `said` are the lines of systemd on the unit, the newest last."""
    if result == "timeout":
        return _timed_out(machine, settings, said)
    return _unwatched(settings) if result == "watchdog" else _unannounced(settings)


def _late(settings: Mapping[str, str], said: Sequence[str]) -> str:
    gone = next(filter(None, map(_NO_SUCH_PID.search, said)), None)
    if gone and settings.get("PIDFile"):
        return f"PIDFile={settings['PIDFile']} names PID {gone[1]}, which does not exist (Type=forking)"
    within = f"within {settings.get('TimeoutStartUSec') or 'its TimeoutStartSec='}"
    return {
        "notify": f"no READY=1 came {within} (Type=notify)",
        "notify-reload": f"no READY=1 came {within} (Type=notify-reload)",
        "dbus": f"the bus name {settings.get('BusName', '')} was not taken {within} (Type=dbus)",
        "forking": f"{_pid_file(settings)} {within} (Type=forking)",
    }.get(settings.get("Type", ""), f"it did not start {within}")


def _pid_file(settings: Mapping[str, str]) -> str:
    file = settings.get("PIDFile")
    return f"PIDFile={file} was not written" if file else "its first process did not end"


def _unannounced(settings: Mapping[str, str]) -> str:
    """Return what a service has not done before it ended."""
    kind = settings.get("Type", "")
    if kind.startswith("notify"):
        return f"it ended before READY=1 came (Type={kind})"
    return f"{_pid_file(settings)} (Type={kind})" if settings.get("PIDFile") else "it ended before it was ready"


def _unwatched(settings: Mapping[str, str]) -> str:
    return f"no WATCHDOG=1 came within {settings.get('WatchdogUSec', 'WatchdogSec=')}"


def _timed_out(machine: Machine, settings: Mapping[str, str], said: Sequence[str]) -> str:
    """Return which time a service has exceeded: that of its start, of one of its programs, or of all its life."""
    for line in reversed(said):
        if "runtime time limit" in line:
            return f"it ran for longer than RuntimeMaxSec={settings.get('RuntimeMaxUSec', '')}"
        if found := _STEP_TIMED_OUT.match(line):
            key = "ExecStartPre" if found[1] == "start-pre" else "ExecStartPost"
            run = programs.run(settings.get(key, ""))
            within = settings.get("TimeoutStartUSec") or "TimeoutStartSec="
            late = f"{key}={run.argv[:_MOST] if run else ''} did not end within {within}"
            lacking = programs.lacking(machine, run.argv) if run else ""
            return f"{late}: {lacking}" if lacking else late
        if "start operation timed out" in line:
            break
    else:
        if any("stop" in line and "timed out" in line for line in said):
            return f"it did not stop within {settings.get('TimeoutStopUSec') or 'TimeoutStopSec='}"
    return _late(settings, said)
