"""The unit whose start a maintainer script waits for."""

from collections.abc import Sequence

import pytest

from postroj.package.units import starting

_JOBS = " 91 multi-user.target start waiting\n102 web.service start running\n"


@pytest.mark.parametrize(
    ("limit", "begun", "is_endless"), [("infinity", 100, True), ("infinity", 4900, False), ("1min 30s", 100, False)]
)
def test_a_start_that_is_not_finished(limit: str, begun: int, is_endless: bool) -> None:
    """Without a limit, one of more than ten minutes is none that ends; a shorter one may only be slow."""
    shown = f"Type=oneshot\nTimeoutStartUSec={limit}\nActiveState=activating\nSubState=start\n"
    shown += f"InactiveExitTimestamp=@{begun}\n"
    answers = {"systemctl list-jobs": _JOBS, "systemctl show": shown, "date +%s": "5000\n"}

    def ask(argv: Sequence[str]) -> str:
        return answers[" ".join(argv[:2])]

    found = starting(ask)
    assert found and (found.name, found.is_endless) == ("web.service", is_endless)
    assert found.told.startswith(f"the start of web.service, which is activating (start) since {5000 - begun} s")
    assert ("no limit of time" in found.told) == (limit == "infinity")


@pytest.mark.parametrize("jobs", ["No jobs running.\n", f"{_JOBS}103 other.service start running\n"])
def test_it_is_not_known_what_is_waited_for(jobs: str) -> None:
    assert starting(lambda argv: jobs) is None
