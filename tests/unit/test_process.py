"""The one door to host programs, with programs that each host has."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from postroj import process
from postroj.errors import MissingToolError, ToolError


def program(directory: Path, name: str, script: str = "", mode: int = 0o755) -> Path:
    path = directory / name
    directory.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(mode)
    return path


@pytest.fixture
def bin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of programs, the first on PATH."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return tmp_path / "bin"


@pytest.fixture
def alone(bin: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, with nothing else on PATH: a host that has just these programs."""
    monkeypatch.setenv("PATH", str(bin))
    monkeypatch.setattr(process, "SEARCH_PATH", str(bin))
    return bin


def test_find(alone: Path) -> None:
    path = program(alone, "tool")
    program(alone, "data", mode=0o644)
    (alone / "directory").mkdir()
    assert process.find("tool") == str(path)
    assert [process.find(name) for name in ("data", "directory", "nothing")] == [None, None, None]


@pytest.mark.parametrize("path", [None, "", "/usr/bin", "/usr/bin:/usr/bin", ":/usr/bin", "/usr/bin:"])
def test_the_sbin_directories_are_searched_as_well(monkeypatch: pytest.MonkeyPatch, path: str | None) -> None:
    monkeypatch.delenv("PATH")
    if path is not None:
        monkeypatch.setenv("PATH", path)
    found = process.search_path().split(":")
    assert {"/usr/sbin", "/sbin", "/usr/bin"} <= set(found)
    assert "" not in found and len(found) == len(set(found))


def test_what_is_there_is_required_in_silence(alone: Path) -> None:
    program(alone, "ip")
    process.require("ip")
    process.require()


@pytest.mark.parametrize(
    ("manager", "hint"),
    [
        ("apt-get", "apt-get install iproute2 systemd-container"),
        ("dnf", "dnf install iproute systemd-container"),
        ("zypper", "zypper install iproute systemd-container"),
        ("", "install the packages that bring them: iproute2 systemd-container on Debian, "
         "iproute systemd-container on Fedora"),
    ],
)  # fmt: skip
def test_what_is_missing_is_told_with_the_packages_that_bring_it(alone: Path, manager: str, hint: str) -> None:
    program(alone, "nft")
    if manager:
        program(alone, manager)
    with pytest.raises(MissingToolError) as caught:
        process.require("ip", "nft", "systemd-nspawn")
    assert caught.value.what == "ip, systemd-nspawn are missing on this host"
    assert caught.value.hint == hint


def test_a_package_is_named_once(alone: Path) -> None:
    program(alone, "apt-get")
    with pytest.raises(MissingToolError, match="setpriv, unshare, nsenter are missing") as caught:
        process.require("setpriv", "unshare", "nsenter")
    assert caught.value.hint == "apt-get install util-linux"


@pytest.mark.parametrize("tool", ["umoci", "no-such-program"])
def test_a_program_that_is_not_there_is_a_missing_tool(alone: Path, tool: str) -> None:
    with pytest.raises(MissingToolError, match=f"{tool} is missing on this host"):
        process.run([tool])


def test_output_and_input() -> None:
    assert process.run(["cat"], stdin="hello\n") == "hello\n"
    assert process.run(["sh", "-c", 'printf "%s|" "$@"', "sh", "a b", "$(id)", "*"]) == "a b|$(id)|*|"
    assert process.run(["printf", "\\377"]) == "\N{REPLACEMENT CHARACTER}"


def test_an_input_that_nobody_reads_is_no_error() -> None:
    assert process.run(["true"], stdin="x" * 1000) == ""


def test_the_error_has_both_streams() -> None:
    with pytest.raises(ToolError, match="sh failed with status 3") as caught:
        process.run(["sh", "-c", "echo one; echo two >&2; exit 3"])
    assert caught.value.why == "one\ntwo"


def test_an_error_without_a_word_shows_the_command() -> None:
    with pytest.raises(ToolError) as caught:
        process.run(["sh", "-c", "exit 1"])
    assert caught.value.why == "sh -c 'exit 1'"


def test_a_program_that_was_killed() -> None:
    with pytest.raises(ToolError, match="sh was killed by signal 9"):
        process.run(["sh", "-c", "kill -9 $$"])


def test_a_long_error_is_cut() -> None:
    with pytest.raises(ToolError) as caught:
        process.run([sys.executable, "-c", "print('x' * 10**6); print('the end'); raise SystemExit(1)"])
    assert len(caught.value.why) < 10_000 and caught.value.why.endswith("the end")


def test_the_environment_is_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    monkeypatch.setenv("LANGUAGE", "de")
    monkeypatch.setenv("LD_PRELOAD_X", "x")
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    seen = process.environment(TMPDIR="/t")
    assert seen["LC_ALL"] == "C.UTF-8" and seen["https_proxy"] == "http://proxy:3128" and seen["TMPDIR"] == "/t"
    assert not {"LANG", "LANGUAGE", "LD_PRELOAD_X", "POSTROJ_STATE_DIR"} & set(seen)
    assert "LANG=" not in process.run(["env"])


def test_a_program_has_a_session_of_its_own() -> None:
    script = "import os; print(os.getsid(0) == os.getpid())"
    assert process.run([sys.executable, "-c", script]) == "True\n"


def test_what_takes_too_long_is_ended() -> None:
    before = process.child_pids(os.getpid())
    with pytest.raises(ToolError, match=r"sleep did not end within 0\.01 s") as caught:
        process.run(["sleep", "1000"], timeout=0.01)
    assert caught.value.why == "sleep 1000"
    assert process.child_pids(os.getpid()) == before


def test_programs_at_the_same_time(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    # Each opens its end of the pipe only when the other does: one after the other they would not end.
    outputs = process.run_together((["sh", "-c", f"cat >{fifo}; echo a"], "hello"), (["cat", fifo.as_posix()], ""))
    assert outputs == ["a\n", "hello"]


def test_together_the_first_that_failed_is_told() -> None:
    with pytest.raises(ToolError, match="status 5"):
        process.run_together((["true"], ""), (["sh", "-c", "exit 5"], ""), (["sh", "-c", "exit 6"], ""))


def test_together_the_one_that_takes_too_long_is_told() -> None:
    before = process.child_pids(os.getpid())
    with pytest.raises(ToolError, match="sleep did not end"):
        process.run_together((["true"], ""), (["sleep", "1000"], ""), (["cat"], ""), timeout=0.05)
    assert process.child_pids(os.getpid()) == before


def test_ctrl_c_at_the_terminal_ends_no_program_on_its_way() -> None:
    assert process.run(["sh", "-c", "kill -INT $$; echo lives"]) == "lives\n"


def test_together_with_one_that_is_not_there_nothing_is_left_running() -> None:
    before = process.child_pids(os.getpid())
    with pytest.raises(MissingToolError):
        process.run_together((["sleep", "1000"], ""), (["umoci-is-not-there"], ""))
    assert process.child_pids(os.getpid()) == before


def test_children_are_found() -> None:
    with subprocess.Popen(["sleep", "1000"]) as child:
        assert child.pid in process.child_pids(os.getpid())
        process.stop(child)
        assert child.returncode == -15
        assert process.child_pids(child.pid) == []


def test_what_ignores_term_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    script = "trap '' TERM; echo ready; while :; do sleep 1000; done"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True) as child:
        assert child.stdout is not None and child.stdout.readline() == b"ready\n"
        wait = child.wait
        monkeypatch.setattr(child, "wait", lambda timeout=None: wait(None if timeout is None else 0.01))
        process.stop(child)
        assert child.returncode == -9
        os.killpg(child.pid, 9)


def test_signal_that_comes_while_a_program_is_started_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def spawn(argv: list[str], **how: Any) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(argv, stdin=how["stdin"], stdout=how["stdout"], stderr=how["stderr"]))
        os.kill(os.getpid(), signal.SIGINT)
        return started[0]

    monkeypatch.setattr(process, "spawn_confined", spawn)
    monkeypatch.setattr(process, "confined_child", lambda process: None)
    with pytest.raises(KeyboardInterrupt):
        process.follow(["sleep", "600"], subject="x")
    assert started[0].returncode == -signal.SIGKILL
