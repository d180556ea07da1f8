"""What apt-get of Debian 11 to 13 says that it is about to do."""

import pytest

from postroj.family.apt.plan import read
from postroj.family.plan import Plan, Step

_OUTPUT = """Reading package lists...
The following additional packages will be installed:
  ucf
Recommended packages:
  nosuch | other
  more
The following NEW packages will be installed:
  rec ucf
Remv old [1.0]
Inst ucf (3.0043+nmu1+deb12u1 Debian:12.15/oldstable [all])
Inst mount [2.38.1-5+b1] (2.38.1-5+b2 Debian:12.15/oldstable, local-deb [amd64])
Inst libc6:i386 (2.36 Debian:12/stable [i386]) [rec:amd64 ]
Inst rec (1:1.0 local-deb [all])
Conf rec (1:1.0 local-deb [all])
"""


def test_plan() -> None:
    assert read(_OUTPUT) == Plan(
        installed=(
            Step("ucf", "3.0043+nmu1+deb12u1", "", False),
            Step("mount", "2.38.1-5+b2", "2.38.1-5+b1", True),
            Step("libc6", "2.36", "", False),
            Step("rec", "1:1.0", "", True),
        ),
        removed=("old",),
        missing=("nosuch", "other", "more"),
    )
    assert read(_OUTPUT).version_of("rec") == "1:1.0"
    assert read(_OUTPUT).version_of("nosuch") == ""


@pytest.mark.parametrize(
    ("output", "needed"),
    [
        ("", False),
        ("Inst rec (1.0 local-deb [all])", False),
        ("Inst rec (1.0 local-deb [all])\nInst b (1.0 Debian:12/stable [all])", True),
        ("Recommended packages:\n  b\nInst rec (1.0 local-deb [all])", True),
        ("Suggested packages:\n  b\nInst rec (1.0 local-deb [all])", False),
        ("Inst", False),
        ("Inst rec", False),
        ("\x1b[31mInst rec (1", False),
    ],
)
def test_whether_the_repositories_are_needed(output: str, needed: bool) -> None:
    assert read(output).needs_lists is needed
