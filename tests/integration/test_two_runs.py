"""Two postroj with a /run of their own each, on one network: containers of a CI host that share the host's network."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import debris
from guests import Guest, guest
from moments import started, until
from support import POSTROJ, Run

_ALONE = ["unshare", "--mount", "--propagation", "private", "sh", "-c", 'mount -t tmpfs tmpfs /run && exec "$@"', "sh"]
_FETCH = "exec timeout 60 bash -c ': </dev/tcp/'$1/7777"
_KNOCK = "exec timeout 3 bash -c ': </dev/tcp/'$1/7777"
_SERVE = (
    "perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(LocalPort => 7777, Listen => 9) or die $!; "
    "fork and exit; close STDOUT; close STDERR; close $c while $c = $s->accept'"
)


def links() -> set[str]:
    return {name for name in os.listdir("/sys/class/net") if name.startswith("pj-")}


@contextmanager
def apart(environment: dict[str, str], pid: int, *words: str) -> Iterator[Guest]:
    """A machine of a postroj that has the /run of a process."""
    enter = ["nsenter", f"--target={pid}", "--mount", f"--wd={Path.cwd()}", "--"]
    with started([*enter, POSTROJ, "run", *words, "sh"], environment, stdin=subprocess.PIPE) as process:
        one = Guest(process)
        one.ask("true")
        yield one
        one.leave()


@pytest.fixture
def other() -> Iterator[int]:
    """The PID of a process with a /run of its own."""
    words = [*_ALONE, "sh", "-c", "echo up; exec sleep infinity"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == b"up\n"
            yield process.pid
        finally:
            process.kill()


def test_both_start_at_the_same_time(bookworm: str, environment: dict[str, str], postroj: Run) -> None:
    """Neither has a link when the other takes its number."""
    words = [POSTROJ, "run", bookworm, "sh", "-c", "hostname --all-ip-addresses"]
    with ExitStack() as stack:
        both = [stack.enter_context(started([*enter, *words], environment)) for enter in ([], _ALONE, [], _ALONE)]
        done = [one.communicate(timeout=120) for one in both]
    assert [one.returncode for one in both] == [0] * 4, done
    assert links() == set()
    assert postroj("gc").returncode == 0  # the last of all may not be ours: its note of the forwarding is taken back


def test_neither_takes_the_others_links_and_rules(
    bookworm: str, environment: dict[str, str], postroj: Run, other: int
) -> None:
    with (
        apart(environment, other, "--network=lab", "--name=their-one", bookworm) as one,
        apart(environment, other, "--network=lab", "--name=their-two", bookworm) as two,
    ):
        theirs = links()
        assert two.ask(_SERVE).status == 0
        assert one.ask(_FETCH, "their-two").status == 0
        with (
            guest(environment, "--network=lab", "--name=our-one", bookworm) as three,
            guest(environment, "--network=lab", "--name=our-two", bookworm) as four,
        ):
            assert len(links()) == 4
            assert four.ask(_SERVE).status == 0
            assert three.ask(_FETCH, "our-two").status == 0
            assert one.ask(_FETCH, "their-two").status == 0  # the rules of both are there
            assert one.ask(_KNOCK, four.address()).status == 124  # and networks of the same name are two
        until(lambda: links() == theirs, "our links are gone")
        assert one.ask(_FETCH, "their-two").status == 0
        for link in theirs:  # of killed machines of ours, whose links are gone
            debris.slot(int(link.removeprefix("pj-")))
        done = postroj("gc")
        assert (done.returncode, done.stdout) == (0, "nothing to remove\n"), done.stderr
        assert links() == theirs
        assert one.ask(_FETCH, "their-two").status == 0
    assert links() == set()
    assert postroj("gc").returncode == 0
