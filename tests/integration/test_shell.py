"""A shell in a machine: `postroj shell`, `postroj exec -it`, and the one that a probe opens."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import debs
from guests import Guest, guest
from keeping import kept, record
from moments import running, until
from support import POSTROJ, Run
from typist import at_terminal

pytestmark = pytest.mark.once

_PROMPT = r"root@[\w-]+:~# "


@pytest.fixture(scope="module")
def machine(environment: dict[str, str], bookworm: str) -> Iterator[Guest]:
    """A machine that is called `entered`."""
    with guest(environment, "--name=entered", bookworm) as one:
        yield one


def test_a_login_shell(machine: Guest, environment: dict[str, str]) -> None:
    with at_terminal([POSTROJ, "shell", "entered"], environment) as typist:
        before = typist.settings()
        typist.read_until(_PROMPT)
        typist.type("shopt login_shell; echo $TERM $HOME; tty; stty size\n")
        typist.read_until(r"login_shell *\ton\r\nxterm /root\r\n/dev/pts/\d+\r\n31 97\r\n")
        typist.type("exit 5\n")
        assert typist.end() == 5
        assert typist.settings() == before


def test_the_shell_of_another_user(machine: Guest, environment: dict[str, str]) -> None:
    """A user whose shell lets nobody in has sh."""
    machine.ask("useradd --create-home --shell=/bin/sh someone; useradd --shell=/nothing nowhere")
    with at_terminal([POSTROJ, "shell", "-u", "someone", "entered"], environment) as typist:
        typist.read_until(r"\$ ")
        typist.type("id -un; pwd; exit\n")
        typist.read_until("someone\r\n/home/someone\r\n")
        assert typist.end() == 0
    for user in ("nowhere", "nobody"):
        with at_terminal([POSTROJ, "shell", "-u", user, "entered"], environment) as typist:
            typist.read_until(r"\$ ")
            typist.type("id -un; exit 3\n")
            typist.read_until(f"{user}\r\n")
            assert typist.end() == 3


def test_a_command_with_a_terminal(machine: Guest, environment: dict[str, str]) -> None:
    with at_terminal(
        [POSTROJ, "exec", "-it", "entered", "sh", "-c", "tty; read a; echo got $a"], environment
    ) as typist:
        typist.read_until(r"/dev/pts/\d+\r\n")
        typist.type("this\n")
        typist.read_until("got this\r\n")
        assert typist.end() == 0


def test_the_terminal_is_restored_if_the_machine_ends(postroj: Run, environment: dict[str, str], bookworm: str) -> None:
    with guest(environment, "--name=ending", bookworm):
        with at_terminal([POSTROJ, "shell", "ending"], environment) as typist:
            before = typist.settings()
            typist.read_until(_PROMPT)
            assert postroj("stop", "ending").returncode == 0
            assert typist.end() == 125
            assert typist.settings() == before
            assert b"the machine ending is lost: " in typist.rest()


def test_without_a_terminal(machine: Guest, postroj: Run) -> None:
    done = postroj("shell", "entered")
    assert done.returncode == 125 and "postroj exec entered sh" in done.stderr
    done = postroj("exec", "-t", "entered", "true")
    assert done.returncode == 125 and "-t needs a terminal" in done.stderr
    done = postroj("pkgprobe", "--shell=end", "--check-unit=x", "--image=debian-bookworm")
    assert done.returncode == 2 and "--shell needs a terminal" in done.stderr


def _probe(bookworm: str, *words: str | Path) -> list[str | Path]:
    return [POSTROJ, "pkgprobe", f"--image={bookworm}", *words]


def test_a_shell_at_the_first_failure(bookworm: str, environment: dict[str, str], tmp_path: Path) -> None:
    package = debs.build(tmp_path, "broken", postinst="touch /was-here; exit 3")
    with at_terminal(
        _probe(bookworm, f"--package={package}", "--shell=failure"), {**environment, "NO_COLOR": "1"}
    ) as typist:
        before = typist.settings()
        typist.read_until(r"a shell in postroj-debian-bookworm, after install, as something has failed; ")
        typist.read_until(_PROMPT)
        typist.type("ls /was-here; exit 4\n")
        typist.read_until("\r/was-here\r\n")
        typist.read_until("the shell has ended with status 4\r\n")
        typist.read_until("FAILED debian-bookworm")
        assert typist.end() == 1
        assert b"a shell in" not in typist.rest() and typist.settings() == before


def test_what_is_mended_in_the_shell_is_judged(bookworm: str, environment: dict[str, str]) -> None:
    words = _probe(bookworm, "--check=file /mended type=file", "--shell=install", "--timeout=60")
    with at_terminal(words, environment) as typist:
        typist.read_until(r"after install; leave it to go on")
        typist.read_until(_PROMPT)
        typist.type("touch /mended; exit\n")
        typist.read_until("PASSED")
        assert typist.end() == 0


def test_a_shell_in_a_machine_that_is_kept(postroj: Run, bookworm: str, environment: dict[str, str]) -> None:
    """The keeper has no controlling terminal, and yet one to show; Ctrl-C is the shell's."""
    words = _probe(bookworm, "--check-unit=dbus", "--shell=end", "--keep")
    with at_terminal(words, {**environment, "NO_COLOR": "1"}) as typist:
        before = typist.settings()
        typist.read_until(_PROMPT)
        typist.type("sleep 31621\n")
        until(lambda: running("sleep", "31621"), "the command runs")
        typist.type("\x03")
        typist.read_until(_PROMPT)
        typist.resize(40, 120)
        # What is typed may overtake the signal that tells of the new size.
        typist.type('until [ "$(stty size)" = "40 120" ]; do :; done; stty size; exit 0\n')
        typist.read_until("40 120\r\n")
        typist.read_until("PASSED")
        assert typist.end() == 0
        assert typist.settings() == before
        printed = re.sub("\r\n", "\n", typist.rest().decode())
    found = kept(0, "", printed[printed.index("postroj: the machine") :])
    assert record(found.name)["reason"] == "it has passed"
    assert postroj("stop", found.name).returncode == 0


def test_moments_that_there_are_not(bookworm: str, environment: dict[str, str]) -> None:
    with at_terminal(_probe(bookworm, "--check-unit=dbus", "--shell=nothing"), environment) as typist:
        assert typist.end() == 2
        assert b"the moments are failure, end, install, check" in typist.rest()
