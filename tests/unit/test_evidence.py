"""What is shown of a unit that is not as it should be."""

import pytest

from postroj.contract import Completed
from postroj.probe.evidence import chosen, journal, nearest, of_version

from .fakes import FakeMachine


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        ("systemd 260 (260.1-1)\n+PAM +AUDIT", "systemd 260 reads no init scripts"),
        ("systemd 262~rc1 (262~rc1-1)\n", "systemd 262 reads no init scripts"),
        ("systemd 259 (259.5-1)\n", ""),
        ("systemd 252 (252.39-1~deb12u1)\n", ""),
        ("", ""),
        (f"systemd {'9' * 5000}\n", "systemd 999999999 reads no init scripts"),
        ("(could not run `sh`: it is gone)", ""),
    ],
)
def test_init_scripts_that_systemd_does_not_read(shown: str, told: str) -> None:
    found = of_version(shown, "/etc/init.d/web")
    assert told in found and bool(found) is bool(told)
    assert not found or found.startswith("there is only /etc/init.d/web, ")


_UNITS = (
    "systemd-journald.service", "systemd-journald.socket", "systemd-journald@.service", "systemd-journald@.socket",
    "systemd-localed.service", "ssh.service", "sshd-keygen.path",
)  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "first"),
    [
        ("systemd-jornald.service", ["systemd-journald.service"]),
        ("systemd-jornald.socket", ["systemd-journald.socket"]),
        ("sshd-keygem.service", ["sshd-keygen.path"]),
        ("sssh.service", ["ssh.service"]),
        ("postgresql.service", []),
    ],
)
def test_the_unit_that_may_have_been_meant(asked: str, first: list[str]) -> None:
    assert nearest(asked, _UNITS)[:1] == first


def test_lines_without_end_take_no_time() -> None:
    """Patterns take the square of a line, and journald takes 48 KiB for one."""
    line = "Oct 1 00:00:00 web systemd[1]: " + " systemd[1]: " * 3700
    assert chosen("● a.service\n\n" + "\n".join([line] * 50)).count(line) == 9
    machine = FakeMachine(lambda argv: Completed(0, "x" * 48_000 + "\nend"))
    first, last = journal(machine, 2)
    assert len(first) == 2000 and last == "end"
