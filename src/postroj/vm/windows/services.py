"""Services of Windows, asked for by PowerShell, and told as units of the contract.

Sources: Win32_Service, "System Error Codes", and the events of the Service Control Manager (Microsoft Learn). What is
read comes from the guest: it is bounded, and anything of another form is an error of the guest's.
"""

import json
import re
from typing import Any, NamedTuple

from postroj.contract import UnitFacts, UnitState
from postroj.errors import GuestSetupError, UsageError
from postroj.family.windows.quoting import literal

_MOST_BYTES = 1024 * 1024
_MOST_SERVICES = 2000
_MOST_EVENTS = 50
_LONGEST = 4096
_NAME = re.compile(r"[^/\\\x00-\x1f\x7f]{1,256}")

_NEVER_STARTED = 1077
_SPECIFIC = 1066
_NO_ANSWER = 1053
_CODES = {
    2: "its program is not there",
    3: "the path of its program is not there",
    5: "access denied",
    126: "a DLL that it needs is not there",
    193: "its program is not one for this Windows",
    _NO_ANSWER: "it did not answer the start request in time",
    1058: "it is disabled, or a service that it depends on is",
    1060: "it does not exist",
    1067: "its process ended unexpectedly",
    1068: "a service that it depends on did not start",
    1069: "its user cannot log on",
    1072: "it is marked for deletion",
    1075: "a service that it depends on does not exist",
}
"""What the exit codes of services say: winerror.h."""

_STATES = {
    "Running": ("active", "running"),
    "Start Pending": ("activating", "start"),
    "Continue Pending": ("activating", "continue"),
    "Stop Pending": ("deactivating", "stop"),
    "Pause Pending": ("deactivating", "pause"),
    "Paused": ("inactive", "paused"),
    "Stopped": ("inactive", "dead"),
}
_ENABLEMENT = {"Auto": "enabled", "Boot": "enabled", "System": "enabled", "Manual": "disabled", "Disabled": "masked"}
"""A service whose start type is Manual is started by no boot, and a disabled one by nothing at all."""

_HEAD = """\
$ErrorActionPreference = 'Stop'
[Console]::OutputEncoding = New-Object Text.UTF8Encoding $false
"""
_SERVICES = """\
$now = (Get-CimInstance Win32_OperatingSystem).LocalDateTime
$all = @(Get-CimInstance Win32_Service {filter} | ForEach-Object {{
    $began = $null
    if ($_.ProcessId) {{
        $process = Get-CimInstance Win32_Process -Filter "ProcessId = $($_.ProcessId)"
        if ($process) {{ $began = [math]::Max(0, ($now - $process.CreationDate).TotalSeconds) }}
    }}
    @{{ name = $_.Name; title = $_.DisplayName; state = $_.State; mode = $_.StartMode; code = $_.ExitCode
       specific = $_.ServiceSpecificExitCode; pid = $_.ProcessId; user = $_.StartName; seconds = $began }}
}})
ConvertTo-Json -Compress -InputObject $all
"""
_EVENTS = """\
$boot = (Get-CimInstance Win32_OperatingSystem).LastBootUpTime
$what = @{{ LogName = 'System'; ProviderName = 'Service Control Manager'; Level = 1, 2, 3; StartTime = $boot }}
$all = @(Get-WinEvent -FilterHashtable $what -MaxEvents 500 -ErrorAction SilentlyContinue |
    Where-Object {{ $_.Properties.Count -and $_.Properties[0].Value -in {names} }} |
    Select-Object -First {most} | ForEach-Object {{
        @{{ id = $_.Id; time = $_.TimeCreated.ToUniversalTime().ToString('s'); text = $_.Message }}
    }})
ConvertTo-Json -Compress -InputObject $all
"""


class Service(NamedTuple):
    """A service as Windows tells it."""

    name: str
    title: str
    """Its display name, by which events name it."""
    state: str
    mode: str
    """Auto, Manual, Disabled, Boot, System."""
    code: int
    """ExitCode: winerror.h. 1066 refers to `specific`; 1077 means that it was not started since the boot."""
    specific: int
    pid: int
    user: str
    seconds: float
    """How long its process has run. Services that share a process have the time of the first of them."""

    @property
    def has_failed(self) -> bool:
        """Return whether it has stopped with an exit code that says so."""
        return self.state == "Stopped" and self.code not in (0, _NEVER_STARTED)


def service_name(unit: str) -> str:
    """Return the name of the service that is meant by a unit's name, `Grafana.service`. Raises UsageError."""
    name = unit.removesuffix(".service")
    if not _NAME.fullmatch(name) or name != name.strip():
        raise UsageError(f"'{name[:200]}' cannot be the name of a service of Windows")
    return name


def script(name: str = "") -> str:
    """Return the script that prints a service, or all of them, as `read` takes them. Raises UsageError."""
    if not name:
        return _HEAD + _SERVICES.format(filter="")
    quoted = service_name(name).replace("'", "\\'")  # as WQL writes it; a backslash is in no name
    return _HEAD + _SERVICES.format(filter="-Filter " + literal(f"Name = '{quoted}'"))


def read(output: str) -> list[Service]:
    """Return the services that the script has printed. Raises GuestSetupError."""
    return [_service(one) for one in _objects(output, _MOST_SERVICES)]


def state(service: Service | None) -> UnitState:
    """Return a service as a unit: not found if there is none."""
    if service is None:
        return UnitState("not-found", "inactive", "dead", 0.0, 0, "", has_job=False)
    active, sub = _STATES.get(service.state, ("inactive", "unknown"))
    result = "success"
    if service.has_failed:
        active, sub = "failed", "failed"
        result = "timeout" if service.code == _NO_ANSWER else "exit-code"
    return UnitState(
        load="masked" if service.mode == "Disabled" else "loaded",
        active=active,
        sub=sub,
        active_seconds=service.seconds if active == "active" else 0.0,
        restarts=0,  # the events tell of them
        result=result,
        has_job=service.state.endswith("Pending"),
        was_tried=active != "active" and service.code != _NEVER_STARTED,
    )


def facts(service: Service) -> UnitFacts:
    """Return how a service is set up."""
    code = service.specific if service.code == _SPECIFIC else service.code
    return UnitFacts(
        enablement=_ENABLEMENT.get(service.mode, ""), user=service.user, exit_status=code, main_pid=service.pid
    )


def why(service: Service) -> str:
    """Return in a few words why it has stopped; empty if it has not failed."""
    if not service.has_failed:
        return ""
    if service.code == _SPECIFIC:
        return f"it ended with its own exit code {service.specific}"
    told = _CODES.get(service.code)
    return f"{told} (error {service.code})" if told else f"it ended with error {service.code}"


def events_script(service: Service) -> str:
    """Return the script that prints what the Service Control Manager has logged of a service since the boot."""
    names = ", ".join(literal(name) for name in dict.fromkeys((service.title, service.name)) if name)
    return _HEAD + _EVENTS.format(names=names, most=_MOST_EVENTS)


def events(output: str) -> list[str]:
    """Return these events, a line each, the last one at the end. Raises GuestSetupError."""
    lines = []
    for one in reversed(_objects(output, _MOST_EVENTS)):
        text = " ".join(_text(one, "text").split())
        lines.append(f"{_text(one, 'time')} Service Control Manager {_number(one, 'id')}: {text}")
    return lines


def _objects(output: str, most: int) -> list[dict[str, Any]]:
    if len(output) > _MOST_BYTES:
        raise _unreadable(f"more than {_MOST_BYTES:,} characters")
    try:
        found = json.loads(output.lstrip("\ufeff").strip() or "[]")
    except (ValueError, RecursionError) as error:
        raise _unreadable(f"{error}\n{output[:500]}") from error
    found = found if isinstance(found, list) else [found]  # PowerShell takes a list of one apart
    if len(found) > most or not all(isinstance(one, dict) for one in found):
        raise _unreadable(output[:500])
    return found


def _service(fields: dict[str, Any]) -> Service:
    seconds = fields.get("seconds")
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 <= seconds < 1e9:
        seconds = 0.0
    name, title, state, mode, user = (_text(fields, key) for key in ("name", "title", "state", "mode", "user"))
    code, specific, pid = (_number(fields, key) for key in ("code", "specific", "pid"))
    return Service(name, title, state, mode, code, specific, pid, user, float(seconds))


def _text(fields: dict[str, Any], key: str) -> str:
    value = fields.get(key)
    if value is not None and not isinstance(value, str):
        raise _unreadable(f"{key} is not a text")
    return (value or "")[:_LONGEST]


def _number(fields: dict[str, Any], key: str) -> int:
    value = fields.get(key)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not -(2**31) <= value < 2**32):
        raise _unreadable(f"{key} is not a number of 32 bits")
    return value or 0


def _unreadable(why: str) -> GuestSetupError:
    return GuestSetupError("what PowerShell says of the guest's services cannot be read", why=why)
