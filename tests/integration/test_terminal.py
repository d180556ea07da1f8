"""`postroj run -it`: somebody at a terminal, and a command in the guest that has one."""

import pytest

from moments import running, until
from support import POSTROJ
from typist import at_terminal


def test_command_has_a_terminal_of_the_guest(bookworm: str, environment: dict[str, str]) -> None:
    script = "tty; stty size; echo $TERM; test -t 0 && test -t 1 && test -t 2 && echo all three; exit 42"
    with at_terminal([POSTROJ, "run", "-it", bookworm, "sh", "-c", script], environment) as typist:
        before = typist.settings()
        typist.read_until(r"/dev/pts/\d+\r\n31 97\r\nxterm\r\nall three\r\n")
        assert typist.end() == 42
        assert typist.rest() == b""
        assert typist.settings() == before


@pytest.mark.once
def test_window_is_resized(bookworm: str, environment: dict[str, str]) -> None:
    script = "trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.05; done"
    with at_terminal([POSTROJ, "run", "-it", bookworm, "sh", "-c", script], environment) as typist:
        typist.read_until("ready")
        typist.resize(50, 132)
        typist.read_until("50 132")
        assert typist.end() == 0


def test_ctrl_c_interrupts_the_guests_command_alone(bookworm: str, environment: dict[str, str]) -> None:
    with at_terminal([POSTROJ, "run", "-it", bookworm, "bash", "--norc"], environment) as typist:
        before = typist.settings()
        typist.read_until(r"bash-[\d.]+# ")
        typist.type("sleep 31419\n")
        until(lambda: running("sleep", "31419"), "the command runs")
        typist.type("\x03")
        typist.read_until(r"\^C\r\n(.*)bash-[\d.]+# ")
        typist.type("echo status $?\n")
        typist.read_until("status 130\r\n")
        typist.type("exit 9\n")
        assert typist.end() == 9
        assert typist.settings() == before


@pytest.mark.once
def test_job_control(bookworm: str, environment: dict[str, str]) -> None:
    with at_terminal([POSTROJ, "run", "-it", bookworm, "bash", "--norc"], environment) as typist:
        typist.read_until(r"bash-[\d.]+# ")
        typist.type("cat -uE\n")
        until(lambda: running("cat", "-uE"), "the command runs")
        typist.type("hello\n")
        typist.read_until(r"hello\r\nhello\$\r\n")
        typist.type("\x1a")
        typist.read_until(r"Stopped +cat")
        typist.type("fg\n")
        typist.read_until(r"fg\r\n[^\n]*cat -uE\r\n")
        typist.type("\x04")
        typist.read_until(r"bash-[\d.]+# ")
        typist.type("exit\n")
        assert typist.end() == 0


def test_terminal_is_restored_after_a_signal(bookworm: str, environment: dict[str, str]) -> None:
    with at_terminal([POSTROJ, "run", "-it", bookworm, "sh", "-c", "echo ready; sleep 31420"], environment) as typist:
        before = typist.settings()
        typist.read_until("ready")
        assert typist.settings() != before
        typist.process.terminate()
        assert typist.end() == 143
        assert typist.settings() == before


@pytest.mark.once
def test_large_output_is_whole(bookworm: str, environment: dict[str, str]) -> None:
    with at_terminal([POSTROJ, "run", "-it", bookworm, "seq", "200000"], environment) as typist:
        typist.read_until("\r\n200000\r\n", seconds=30)
        assert typist.end() == 0
        assert typist.rest() == b""


@pytest.mark.once
def test_last_line_is_not_lost(bookworm: str, environment: dict[str, str]) -> None:
    with at_terminal([POSTROJ, "run", "-it", bookworm, "sh", "-c", "seq 20000; printf the-end"], environment) as typist:
        assert typist.end() == 0
        assert typist.rest().endswith(b"\r\n20000\r\nthe-end")


@pytest.mark.once
def test_without_t_the_guest_gets_no_terminal_of_ours(bookworm: str, environment: dict[str, str]) -> None:
    script = "for fd in 0 1 2; do test -t $fd && echo $fd is one; done; readlink /proc/self/fd/1; cat; exit 3"
    with at_terminal([POSTROJ, "run", bookworm, "sh", "-c", script], environment) as typist:
        typist.read_until(r"pipe:\[\d+\]")
        assert typist.end() == 3
        assert b"is one" not in typist.rest()


@pytest.mark.once
def test_i_alone_passes_on_what_is_typed(bookworm: str, environment: dict[str, str]) -> None:
    with at_terminal([POSTROJ, "run", "-i", bookworm, "sh", "-c", "test -t 0; echo $?; cat"], environment) as typist:
        typist.read_until("1\r\n")
        typist.type("hello\n")
        typist.read_until("hello\r\nhello\r\n")
        typist.type("\x04")
        assert typist.end() == 0


def test_ctrl_c_without_t_ends_postroj(bookworm: str, environment: dict[str, str]) -> None:
    with at_terminal([POSTROJ, "run", bookworm, "sh", "-c", "echo ready; sleep 31421"], environment) as typist:
        typist.read_until("ready")
        typist.type("\x03")
        assert typist.end() == 130
