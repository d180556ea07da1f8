"""What of a machine's limits the host's kernel has: controllers of cgroup2, or of cgroup v1."""

from pathlib import Path

import pytest

from guests import Guest


def _mounts() -> list[list[str]]:
    return [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]


def _v1(controller: str) -> Path | None:
    for _, place, kind, options, *_ in _mounts():
        if kind == "cgroup" and controller in options.split(","):
            return Path(place)
    return None


def _v2(controller: str) -> Path | None:
    for _, place, kind, *_ in _mounts():
        if kind == "cgroup2" and controller in Path(place, "cgroup.controllers").read_text().split():
            return Path(place)
    return None


def need(controller: str) -> None:
    """Skip a test where this host has no such controller."""
    if not _v1(controller) and not _v2(controller):
        pytest.skip(f"this host has no {controller} controller")


def read(one: Guest, controller: str, v1: str, v2: str) -> str:
    """A file of a guest's cgroup, as the host sees it: by its name in cgroup v1, or in cgroup2."""
    entries = [line.split(":", 2) for line in Path(f"/proc/{one.leader}/cgroup").read_text().splitlines()]
    old = _v1(controller)
    if old:
        path = next(path for _, names, path in entries if controller in names.split(","))
        return (old / path.lstrip("/") / v1).read_text().strip()
    new = _v2(controller)
    assert new
    own = new / next(path for number, _, path in entries if number == "0").lstrip("/")
    # The limit is on the machine's cgroup, some steps up from that of its first process.
    found = [text for place in (own, *own.parents) if (place / v2).exists() and (text := (place / v2).read_text())]
    return next((text.strip() for text in found if not text.startswith("max")), "max")
