"""What a cgroup leaves to cells, by the files that the kernel has."""

from pathlib import Path

import pytest

from postroj.matrix import quota

_NONE = float("inf")


def _groups(place: Path, above: dict[str, str], own: dict[str, str]) -> dict[str, str]:
    for directory, files in ((place, above), (place / "ci/job", own)):
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (directory / name).write_text(f"{text}\n")
    return dict.fromkeys(("cpu", "memory"), str(place / "ci/job"))


@pytest.mark.parametrize(
    ("above", "own", "cpus"),
    [
        ({}, {}, _NONE),
        ({}, {"cpu.max": "max 100000"}, _NONE),
        ({}, {"cpu.max": "150000 100000"}, 1.5),
        ({"cpu.max": "100000 100000"}, {"cpu.max": "400000 100000"}, 1.0),
        ({}, {"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"}, _NONE),
        ({}, {"cpu.cfs_quota_us": "50000", "cpu.cfs_period_us": "100000"}, 0.5),
        ({}, {"cpu.max": "nonsense"}, _NONE),
    ],
)
def test_processors(above: dict[str, str], own: dict[str, str], cpus: float, tmp_path: Path) -> None:
    assert quota.cpus(_groups(tmp_path, above, own)) == cpus


@pytest.mark.parametrize(
    ("above", "own", "free"),
    [
        ({}, {}, _NONE),
        ({}, {"memory.max": "max", "memory.current": "5", "memory.stat": "inactive_file 1"}, _NONE),
        (
            {},
            {"memory.max": "90", "memory.current": "50", "memory.stat": "anon 40\ninactive_file 7\nactive_file 3"},
            50,
        ),
        ({"memory.max": "60", "memory.current": "59", "memory.stat": "anon 0"}, {"memory.max": "90"}, 1),
        (
            {},
            {
                "memory.limit_in_bytes": "90",
                "memory.usage_in_bytes": "99",
                "memory.stat": "inactive_file 0\ntotal_inactive_file 2\ntotal_active_file 3",
            },
            0,
        ),
    ],
)
def test_memory(above: dict[str, str], own: dict[str, str], free: float, tmp_path: Path) -> None:
    assert quota.free_memory(_groups(tmp_path, above, own)) == free


def test_this_process() -> None:
    """Whatever there is, it can be read."""
    assert quota.cpus() > 0
    assert quota.free_memory() >= 0
