"""WinRM, spoken to an endpoint on loopback. No Windows was at hand: the endpoint is what MS-WSMV says (wsman.py)."""

import socket
import subprocess
import sys
from collections.abc import Sequence

import pytest

from postroj.deadline import Deadline
from postroj.errors import DeadlineError, GuestSetupError, HostError, MachineLostError, MissingToolError
from postroj.family.windows import quoting
from postroj.vm.windows.winrm import Session

from .wsman import PASSWORD, USER, Answer, Endpoint, serving

ANY = Deadline(600)


def session(endpoint: Endpoint, *, user: str = USER, password: str = PASSWORD) -> Session:
    return Session(endpoint.url, user, password, transport="basic", deadline=ANY)


def run(line: str, answers: Sequence[Answer], *, deadline: Deadline = ANY) -> tuple[int, bytes, bytes]:
    """Return the status and both streams of a command, and see that the guest has nothing left of it."""
    with serving({line: answers}) as endpoint:
        streams = {"stdout": b"", "stderr": b""}

        def sink(name: str, data: bytes) -> None:
            streams[name] += data

        try:
            with session(endpoint) as shell:
                status = shell.run(line, sink, deadline=deadline)
        finally:
            assert (endpoint.open_shells, endpoint.open_commands) == (0, 0)
        assert endpoint.lines == [line] and endpoint.has_ended_input
        assert endpoint.options["WINRS_CODEPAGE"] == "65001" and endpoint.options["WINRS_SKIP_CMD_SHELL"] == "FALSE"
        assert endpoint.actions[:3] == ["Create", "Command", "Send"] and endpoint.actions[-2:] == ["Signal", "Delete"]
        return status, streams["stdout"], streams["stderr"]


@pytest.mark.parametrize(
    ("status", "exact"),
    [(0, 0), (1, 1), (3010, 3010), (-1073741819, 0xC0000005), (3221225477, 0xC0000005), (-1, 0xFFFFFFFF)],
)
def test_the_status_is_exact(status: int, exact: int) -> None:
    assert run("ver", [Answer(status=status)]) == (exact, b"", b"")


def test_the_streams_are_exact() -> None:
    everything = bytes(range(256)) * 300
    answers = [
        Answer(b"one\r\n"), Answer(b"", b"wrong\r\n"), Answer(is_timeout=True), Answer(is_timeout=True),
        Answer(everything, everything[::-1]), Answer("ünï\r\n".encode(), b"", 0),
    ]  # fmt: skip
    status, stdout, stderr = run("type x", answers)
    assert (status, stdout) == (0, b"one\r\n" + everything + "ünï\r\n".encode())
    assert stderr == b"wrong\r\n" + everything[::-1]


def test_an_awkward_command_line_arrives_as_it_is() -> None:
    line = quoting.for_cmd(["x.exe", 'a & <b> "c"', "%PATH%", "ünï 日本", "  ", "", "]]>"])
    assert run(line, [Answer(status=0)])[0] == 0


def test_commands_share_a_shell() -> None:
    with serving({"a": [Answer(b"A", status=1)], "b": [Answer(b"B", status=2)]}) as endpoint:
        said: list[bytes] = []
        with session(endpoint) as shell:
            assert [shell.run(line, lambda _, data: said.append(data), deadline=ANY) for line in "ab"] == [1, 2]
        assert said == [b"A", b"B"] and endpoint.actions.count("Create") == 1


def test_a_command_that_does_not_end_is_ended() -> None:
    deadline = Deadline(600)
    with serving({"ping -t x": [Answer(b"one"), Answer(b"two")]}) as endpoint:
        with pytest.raises(DeadlineError, match="the command did not end within 600 s"), session(endpoint) as shell:
            shell.run("ping -t x", lambda *_: deadline.postpone(-700), deadline=deadline)
        assert endpoint.actions[-3:] == ["Receive", "Signal", "Delete"] and not endpoint.open_commands
    with pytest.raises(DeadlineError, match="no time is left"):
        run("ver", [Answer(status=0)], deadline=Deadline(0))


def test_what_the_sink_raises_ends_the_command() -> None:
    def full(_: str, __: bytes) -> None:
        raise OSError(28, "No space left on device")

    with serving({"x": [Answer(b"data")]}) as endpoint:
        with pytest.raises(OSError, match="No space left"), session(endpoint) as shell:
            shell.run("x", full, deadline=ANY)
        assert (endpoint.open_shells, endpoint.open_commands) == (0, 0)


def test_a_wrong_password() -> None:
    with serving({}) as endpoint:
        with pytest.raises(HostError, match=f"WinRM at {endpoint.url} has refused the user nobody") as caught:
            session(endpoint, user="nobody").__enter__()
        assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("action", ["Create", "Command", "Receive"])
def test_a_refusal_is_told(action: str) -> None:
    with serving({"x": [Answer(status=0)]}) as endpoint:
        endpoint.fails = action
        with pytest.raises(GuestSetupError, match="has refused a request") as caught, session(endpoint) as shell:
            shell.run("x", lambda *_: None, deadline=ANY)
        assert caught.value.why == "Access is denied. & more"
        assert endpoint.open_shells == 0


def test_a_shell_that_cannot_be_closed_is_no_error() -> None:
    with serving({"x": [Answer(status=7)]}) as endpoint:
        with session(endpoint) as shell:
            endpoint.fails = "Signal"
            assert shell.run("x", lambda *_: None, deadline=ANY) == 7
            endpoint.fails = "Delete"


@pytest.mark.parametrize(
    "raw",
    [b"", b"<html>hello</html>", b"\xff\xfe\x00", b"<a", b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>", b"{" * 10_000],
)
def test_what_is_no_winrm(raw: bytes) -> None:
    with serving({}) as endpoint:
        endpoint.raw = raw
        with pytest.raises(HostError, match=f"what WinRM at {endpoint.url} has answered cannot be read"):
            session(endpoint).__enter__()


def test_an_endpoint_that_goes_away() -> None:
    with serving({"x": []}) as endpoint:
        shell = session(endpoint).__enter__()
    with pytest.raises(MachineLostError, match="cannot be reached, or not any more"):
        shell.run("x", lambda *_: None, deadline=ANY)
    shell.__exit__(None, None, None)


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and not listening: nothing else can take it meanwhile
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/wsman"
        with pytest.raises(MachineLostError, match="cannot be reached"):
            Session(url, USER, PASSWORD, transport="basic", deadline=ANY).__enter__()


def test_pywinrm_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import sys, postroj.vm.windows.winrm; print({'winrm', 'requests'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
    monkeypatch.setitem(sys.modules, "winrm.protocol", None)
    with pytest.raises(MissingToolError, match="pywinrm is not installed") as caught:
        Session("http://x/wsman", USER, PASSWORD, deadline=ANY)
    assert caught.value.hint == "pip install 'postroj[winrm]'"
