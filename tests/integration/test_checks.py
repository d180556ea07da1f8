"""Each example of docs/checks.md, as it stands there, on a real machine."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

import pytest

import debs
import hello
from support import Run

pytestmark = pytest.mark.once

_TEXT = (Path(__file__).parent.parent.parent / "docs/checks.md").read_text()
_BLOCK = re.compile(r"^```\n(--check .*)\n(.*)\n```$", re.MULTILINE)
_ID = re.compile(r"[UG]ID [0-9]+$")


class Example(NamedTuple):
    words: list[str]
    """As a shell has them: --check, and the check."""
    printed: str


def _examples() -> dict[str, tuple[Example, Example]]:
    """Return what passes and what fails, by the kind of check."""
    sections = _TEXT.split("\n## ")[1:]
    found = {
        part.split("\n")[0]: [Example(shlex.split(command), printed) for command, printed in _BLOCK.findall(part)]
        for part in sections
    }
    return {kind: (examples[0], examples[1]) for kind, examples in found.items() if len(examples) == 2}


_EXAMPLES = _examples()


def test_each_kind_has_an_example_that_passes_and_one_that_fails() -> None:
    from postroj.probe.kinds import KINDS

    assert list(_EXAMPLES) == list(KINDS)
    for kind, (good, bad) in _EXAMPLES.items():
        assert good.words[1].startswith(f"{kind} ")
        assert bad.words[1].startswith(f"{kind} ")


@pytest.mark.parametrize("kind", _EXAMPLES)
def test_example(postroj: Run, bookworm: str, tmp_path: Path, kind: str) -> None:
    good, bad = _EXAMPLES[kind]
    package = hello.build(tmp_path)
    done = postroj(
        "pkgprobe", f"--image={bookworm}", f"--package={package}", "--stay-active=0", *good.words, *bad.words
    )
    assert done.returncode == 1, done.stdout + done.stderr
    first, *lines = [_ID.sub("ID", line) for line in done.stdout.splitlines()]
    assert first == bad.printed
    assert _ID.sub("ID", good.printed) in lines
    assert sum(line.startswith("FAIL ") for line in lines) == 1


def _probe(postroj: Run, image: str, package: Path, *checks: str) -> tuple[int, str]:
    done = postroj("pkgprobe", f"--image={image}", f"--package={package}", *(f"--check={check}" for check in checks))
    return done.returncode, done.stdout


def test_enabled_is_what_the_installation_has_left(postroj: Run, bookworm: str, tmp_path: Path) -> None:
    """The unit is enabled by postroj then, to be started."""
    package = debs.build(tmp_path, "case", enable=False, start="true")
    status, report = _probe(postroj, bookworm, package, "unit case enabled=yes")
    assert status == 1
    assert "ok   unit case.service: active (running); started by postroj" in report
    assert "FAIL unit case.service enabled=yes: enabled: expected yes, got disabled" in report


def test_restarts_and_messages_are_those_of_the_end(postroj: Run, bookworm: str, tmp_path: Path) -> None:
    service = "test -e /run/case-began || { touch /run/case-began; exit 1; }; sleep 3; echo late; exec sleep infinity"
    package = debs.build(tmp_path, "case", service=service, unit={"Restart": "on-failure", "RestartSec": "0"})
    checks = ("unit case restarts=0", "journal case message!~=late", "journal case message~=late")
    status, report = _probe(postroj, bookworm, package, *checks)
    assert status == 1
    assert "FAIL unit case.service restarts=0: restarts: expected 0, got 1" in report
    assert "FAIL journal case.service message!~=late: message: expected no match of 'late', got 'late'" in report
    assert "ok   journal case.service message~=late: as expected" in report


def test_a_unit_that_must_not_be_active_is_not_started(postroj: Run, bookworm: str, tmp_path: Path) -> None:
    package = debs.build(tmp_path, "case", enable=False, start="true")
    checks = ("unit case active=no enabled=no", "unit systemd-journald")
    status, report = _probe(postroj, bookworm, package, *checks)
    assert (status, "ok   unit case.service active=no enabled=no: inactive (dead), disabled" in report) == (0, True)


_HOSTILE: dict[str, str] = {
    "command 'yes ok' timeout=2": "FAIL command 'yes ok': did not end within 2 s",
    "command 'head -c 10000000 /dev/zero' output!~=x": "???? command 'head -c 10000000 /dev/zero' output!~=x: output: ",
    "file /dev/zero content~=x": "FAIL file /dev/zero content~=x: content: expected a match of 'x', got a char",
    "file /run/pipe content~=x": "FAIL file /run/pipe content~=x: content: expected a match of 'x', got a fifo",
    "command 'cat /etc/as' output~=(a+)+$": "???? command 'cat /etc/as' output~=(a+)+$: the regular expression",
    "file /etc/$(reboot)": "FAIL file /etc/$(reboot): does not exist",
    "command 'echo $(reboot) ;'": "ok   command 'echo $(reboot) ;': ended with status 0",
}


def test_what_never_ends_is_ended(postroj: Run, bookworm: str, tmp_path: Path) -> None:
    package = debs.build(tmp_path, "case", files={"/etc/as": "a" * 100 + "b"}, postinst="mkfifo /run/pipe")
    status, report = _probe(postroj, bookworm, package, *_HOSTILE)
    assert status == 1
    for line in _HOSTILE.values():
        assert line in report


@pytest.mark.parametrize(
    ("check", "told"),
    [
        ("htp http://localhost", "did you mean http?"),
        ("http http://localhost bodi~=x", "did you mean body?"),
        ("http http://localhost body~=(", "is not a regular expression"),
        ("file /x mode=rw", "is not a mode"),
    ],
)
def test_wrong_usage_is_told_before_anything_boots(postroj: Run, check: str, told: str) -> None:
    done = postroj("pkgprobe", "--image=no-such-image", f"--check={check}")
    assert (done.returncode, told in done.stdout + done.stderr) == (2, True)
