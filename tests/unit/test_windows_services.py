"""Services of Windows as units. The outputs were written from Microsoft's documentation, and not captured: no Windows
was at hand.
"""

import json
import re
from typing import Any

import pytest

from postroj.contract import UnitState
from postroj.errors import GuestSetupError, UsageError
from postroj.vm.windows import services

RUNNING = {
    "name": "Grafana", "title": "Grafana", "state": "Running", "mode": "Auto", "code": 0, "specific": 0, "pid": 4212,
    "user": "LocalSystem", "seconds": 12.5,
}  # fmt: skip


def _one(**changed: Any) -> services.Service:
    (service,) = services.read(json.dumps([{**RUNNING, **changed}]))
    return service


def _stopped(code: int, **changed: Any) -> services.Service:
    return _one(state="Stopped", code=code, pid=0, seconds=None, **changed)


def test_a_service_that_runs() -> None:
    assert services.state(_one()) == UnitState("loaded", "active", "running", 12.5, 0, "success", has_job=False)
    facts = services.facts(_one())
    assert (facts.enablement, facts.user, facts.main_pid, facts.is_enabled) == ("enabled", "LocalSystem", 4212, True)
    assert services.why(_one()) == ""


@pytest.mark.parametrize(
    ("state", "active", "sub", "has_job"),
    [
        ("Start Pending", "activating", "start", True), ("Stop Pending", "deactivating", "stop", True),
        ("Continue Pending", "activating", "continue", True), ("Pause Pending", "deactivating", "pause", True),
        ("Paused", "inactive", "paused", False), ("Unknown", "inactive", "unknown", False),
        ("", "inactive", "unknown", False),
    ],
)  # fmt: skip
def test_the_states(state: str, active: str, sub: str, has_job: bool) -> None:
    unit = services.state(_one(state=state))
    assert (unit.active, unit.sub, unit.has_job, unit.active_seconds) == (active, sub, has_job, 0.0)


@pytest.mark.parametrize(
    ("service", "active", "result", "was_tried", "why"),
    [
        (_stopped(0), "inactive", "success", True, ""),
        (_stopped(1077), "inactive", "success", False, ""),
        (_stopped(1067), "failed", "exit-code", True, "its process ended unexpectedly (error 1067)"),
        (_stopped(1053), "failed", "timeout", True, "it did not answer the start request in time (error 1053)"),
        (_stopped(1066, specific=42), "failed", "exit-code", True, "it ended with its own exit code 42"),
        (_stopped(1234), "failed", "exit-code", True, "it ended with error 1234"),
    ],
)
def test_a_service_that_has_stopped(
    service: services.Service, active: str, result: str, was_tried: bool, why: str
) -> None:
    unit = services.state(service)
    assert (unit.active, unit.result, unit.was_tried) == (active, result, was_tried)
    assert services.why(service) == why
    assert services.facts(service).exit_status == (42 if service.specific else service.code)


@pytest.mark.parametrize(
    ("mode", "load", "enablement"),
    [
        ("Auto", "loaded", "enabled"), ("Manual", "loaded", "disabled"), ("Disabled", "masked", "masked"),
        ("?", "loaded", ""),
    ],
)  # fmt: skip
def test_the_start_types(mode: str, load: str, enablement: str) -> None:
    assert services.state(_stopped(1077, mode=mode)).load == load
    assert services.facts(_one(mode=mode)).enablement == enablement


@pytest.mark.parametrize("output", ["", "[]", "\ufeff[]\r\n"])
def test_a_service_that_is_not_there(output: str) -> None:
    assert services.read(output) == []
    assert services.state(None).load == "not-found"


def test_a_list_of_one_may_be_no_list() -> None:
    assert services.read("\ufeff" + json.dumps(RUNNING) + "\r\n") == [_one()]


@pytest.mark.parametrize(
    "output",
    [
        "{", "1", '"x"', "[1]", "[[]]", "[" * 100_000, "Get-CimInstance : Access denied", "[" + "{}," * 3000 + "{}]",
        " " * 2_000_000, json.dumps([{**RUNNING, "name": 1}]), json.dumps([{**RUNNING, "code": "0"}]),
        json.dumps([{**RUNNING, "pid": 2**40}]), json.dumps([{**RUNNING, "code": True}]), "1" * 5000,
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_an_error(output: str) -> None:
    with pytest.raises(GuestSetupError, match="what PowerShell says of the guest's services cannot be read"):
        services.read(output)


@pytest.mark.parametrize("seconds", [-1, 1e300, "12", True, None, [], float("nan")])
def test_what_is_no_time(seconds: object) -> None:
    assert _one(seconds=seconds).seconds == 0.0


def test_a_text_is_cut() -> None:
    assert len(_one(title="x" * 100_000).title) == 4096


def test_events_are_lines_and_the_last_is_at_the_end() -> None:
    text = "The Grafana service terminated unexpectedly.  It has done this {} time(s).\r\n\r\nMore."
    output = json.dumps(
        [{"id": 7034, "time": f"2026-11-28T10:00:0{n}", "text": text.format(n)} for n in (2, 1)]
    )  # the newest first, as Get-WinEvent has them
    line = (
        "2026-11-28T10:00:0{0} Service Control Manager 7034: The Grafana service terminated unexpectedly. It has done "
    )
    assert services.events(output) == [f"{line.format(n)}this {n} time(s). More." for n in (1, 2)]
    with pytest.raises(GuestSetupError):
        services.events("[3]")


@pytest.mark.parametrize("unit", ["Grafana", "Grafana.service", "MSSQL$SQLEXPRESS", "World Wide Web", "O'Neil \u2019s"])
def test_the_name_is_in_the_script_as_a_literal(unit: str) -> None:
    name = unit.removesuffix(".service")
    assert services.service_name(unit) == name
    (text,) = re.findall(r"-Filter '(.*)' \| ForEach", services.script(unit))
    wql = re.sub("(['\u2018\u2019\u201a\u201b])['\u2018\u2019\u201a\u201b]", r"\1", text)
    assert re.sub(r"\\(.)", r"\1", wql) == f"Name = '{name}'"
    assert wql.count("'") - wql.count("\\'") == 2


def test_all_services_are_asked_for_without_a_name() -> None:
    assert "Win32_Service  |" in services.script()


@pytest.mark.parametrize("unit", ["", ".service", "a/b", "a\\b", "a\nb", " a", "x" * 257])
def test_what_is_no_name_of_a_service(unit: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a service of Windows"):
        services.service_name(unit)


def test_the_events_of_a_hostile_title_are_asked_for_by_a_literal() -> None:
    script = services.events_script(_one(name="x", title="a' } ; calc; '"))
    assert "-in 'a'' } ; calc; ''', 'x' }" in script
