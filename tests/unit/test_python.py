"""The public Python interface is what it was: a change here is a change for each program that uses it."""

import argparse
import ast
import importlib.util
import inspect
import os
import textwrap

import pytest

import postroj
from postroj.api import _descriptor, _words
from postroj.cli import run
from postroj.errors import UsageError

_STREAM = "IO[bytes] | int | None"
_COMMAND = "timeout: float | None=None, env: Mapping[str, str] | None=None, workdir: str='/', user: str='root'"
_SIGNATURES = {
    "machine": "(image: str, *, name: str | None=None, timeout: float | None=None, offline: bool=False,"
    " bind: Sequence[str]=(), bind_ro: Sequence[str]=(), network: str='private',"
    " publish: Sequence[str]=(), privileged: bool=False,"
    " capability: Sequence[str]=(), memory: int | str=0, cpus: float=0.0, tasks: int=0,"
    " disk: int | str=0) -> Iterator[Machine]",
    "pkgprobe": "(request: Request) -> Result",
    "Machine.changes": "(self) -> Changes",
    "Machine.check": "(self, text: str, *, timeout: float | None=None) -> Finding",
    "Machine.check_network": "(self, address: str, *, timeout: float=30.0) -> Finding",
    "Machine.check_unit": "(self, unit: str, *, stay: float=0.0, timeout: float | None=None) -> Finding",
    "Machine.command": f"(self, argv: Sequence[str], *, {_COMMAND}) -> Completed",
    "Machine.connect": "(self, host: str, port: int, *, timeout: float=10.0) -> socket.socket",
    "Machine.connect_path": "(self, path: str, *, timeout: float=10.0) -> socket.socket",
    "Machine.failed_units": "(self) -> list[str]",
    "Machine.free_bytes": "(self) -> int",
    "Machine.install": "(self, *packages: str | os.PathLike[str], timeout: float | None=None,"
    " offline: bool=False) -> Installed",
    "Machine.listening_sockets": "(self) -> list[str]",
    "Machine.out_of_memory": "(self) -> int",
    "Machine.pull": "(self, source: str, target: str | os.PathLike[str]) -> None",
    "Machine.push": "(self, source: str | os.PathLike[str], target: str) -> None",
    "Machine.reboot": "(self, *, timeout: float | None=None) -> None",
    "Machine.restore": "(self, snapshot: int | None=None, *, timeout: float | None=None) -> None",
    "Machine.run": f"(self, argv: Sequence[str], *, stdin: {_STREAM}=None, stdout: {_STREAM}=None,"
    f" stderr: {_STREAM}=None, {_COMMAND}) -> int",
    "Machine.snapshot": "(self, *, timeout: float | None=None) -> int",
    "Machine.watch_unit": "(self, unit: str) -> AbstractContextManager[UnitWatch]",
}
_MEMBERS = {
    "Change": "gid kind mode modified size target uid what",
    "Changes": "files is_cut",
    "Completed": "is_cut output status",
    "Finding": "detail evidence excerpt hint label name notes outcome passed phase rule seconds subject",
    "Installed": "asked commands has_lists left output plan report siblings",
    "Machine": "changes check check_network check_unit command connect connect_path failed_units free_bytes image"
    " install listening_sockets name out_of_memory pull push reboot restore run snapshot watch_unit",
    "Options": "capabilities check cpus disk has_link memory network privileged publish shared_network tasks",
    "Outcome": "FAILED PASSED SKIPPED UNKNOWN",
    "Publish": "address guest_port host_port",
    "PhaseResult": "name notes seconds units",
    "Request": "allow allow_failed artifacts baseline cache_size checks earlier expect_enabled image needed"
    " network_timeout networks offline options packages phases provider repositories repository_keys start stay"
    " stay_seconds timeout units unsigned_repositories vm vm_wait",
    "Result": "begun error findings image is_life packages phases reason seconds status verdict",
    "Tested": "architecture file format name reference version",
    "UnitFacts": "can_reload conflicts enablement exit_status file is_enabled kind listens main_pid pulled_in_by"
    " refuses_start requires sends_watchdog source start_timeout triggered_by triggers user watchdog_seconds",
    "UnitRow": "active enabled pid restarts since unit",
    "UnitState": "active active_seconds condition has_job load restarts result start_seconds sub was_tried",
    "UnitWatch": "facts name state wait",
    "Verdict": "FAILED PASSED UNKNOWN",
}
_ERRORS = {
    "DeadlineError": "HostError",
    "HostError": "PostrojError",
    "InstallError": "NotInstalledError",
    "LimitError": "NotInstalledError",
    "MachineLostError": "HostError",
    "NotInstalledError": "PostrojError",
    "PostrojError": "Exception",
    "RebootError": "HostError",
    "UsageError": "PostrojError",
}
_EVENTS = {
    "Debug": "text",
    "Output": "line subject",
    "Phase": "phase subject text",
    "Step": "subject text",
    "Transfer": "done subject total",
    "Warn": "text",
}


def test_the_names() -> None:
    functions = {name for name in _SIGNATURES if "." not in name}
    assert set(postroj.__all__) == functions | set(_MEMBERS) | set(_ERRORS) | {"errors", "events", "report"}
    assert set(postroj.__all__) <= set(dir(postroj))
    assert not hasattr(postroj, "nothing")


@pytest.mark.parametrize("name", [name for name in postroj.__all__ if name not in ("errors", "events", "report")])
def test_a_name_is_not_that_of_a_module(name: str) -> None:
    """The module would take its place as soon as it is imported."""
    assert importlib.util.find_spec(f"postroj.{name}") is None
    assert getattr(postroj, name).__name__ == name


@pytest.mark.parametrize("name", _SIGNATURES)
def test_the_signatures(name: str) -> None:
    first, _, method = name.partition(".")
    found = getattr(postroj, first)
    source = textwrap.dedent(inspect.getsource(inspect.unwrap(getattr(found, method) if method else found)))
    (definition,) = ast.parse(source).body
    assert isinstance(definition, ast.FunctionDef) and definition.returns
    returns = ast.unparse(definition.returns).strip("'")
    assert f"({ast.unparse(definition.args)}) -> {returns}" == _SIGNATURES[name]


@pytest.mark.parametrize("name", _MEMBERS)
def test_the_members(name: str) -> None:
    found = {member for member in dir(getattr(postroj, name)) if not member.startswith("_")}
    assert " ".join(sorted(found - {"count", "index"})) == _MEMBERS[name]


@pytest.mark.parametrize("name", _ERRORS)
def test_the_errors(name: str) -> None:
    (base,) = getattr(postroj, name).__bases__
    assert base.__name__ == _ERRORS[name]


@pytest.mark.parametrize("name", _EVENTS)
def test_the_events(name: str) -> None:
    found = {member for member in dir(getattr(postroj.events, name)) if not member.startswith("_")}
    assert " ".join(sorted(found - {"machine"})) == _EVENTS[name]


def test_the_keywords_of_a_machine_are_the_options_of_run() -> None:
    parser = argparse.ArgumentParser()
    run.configure(parser)
    of_commands = {"help", "interactive", "tty", "env", "workdir", "user", "no_boot", "rm", "image", "command_line"}
    of_commands |= {"vm", "vm_wait", "provider"}
    options = {action.dest: action.default for action in parser._actions if action.dest not in of_commands}
    keywords = {
        parameter.name: parameter.default
        for parameter in inspect.signature(postroj.machine).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    assert {name: list(value) if value == () else value for name, value in keywords.items()} == options


@pytest.mark.parametrize("argv", ["ls -l", "", []])
def test_what_is_no_command(argv: str) -> None:
    with pytest.raises(UsageError, match="list of words"):
        _words(argv)


def test_no_terminal_is_given_to_a_guest() -> None:
    outer, inner = os.openpty()
    try:
        with pytest.raises(UsageError, match="terminal"):
            _descriptor(inner)
    finally:
        os.close(outer)
        os.close(inner)
    assert _descriptor(None) is None


@pytest.mark.parametrize(
    "options",
    [
        {"memory": 1}, {"memory": "1"}, {"memory": -1}, {"disk": 1 << 60}, {"cpus": -0.5}, {"cpus": float("nan")},
        {"tasks": 2}, {"network": "A b"}, {"publish": "80"}, {"capability": ["nothing"]}, {"bind": "./nothing"},
        {"bind_ro": [".:/usr"]}, {"network": "none", "publish": ["8080:80"]},
    ],
)  # fmt: skip
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(UsageError), postroj.machine("debian-bookworm", **options):  # type: ignore[arg-type]
        pass


def test_a_machine_needs_a_umask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    before = os.umask(0o077)
    try:
        with pytest.raises(UsageError, match="umask 0077"), postroj.machine("debian-bookworm"):
            pass
    finally:
        os.umask(before)


def test_a_machine_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UsageError, match="needs root"), postroj.machine("debian-bookworm"):
        pass
