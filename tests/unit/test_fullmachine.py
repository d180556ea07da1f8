"""The command that asks a full machine: the same probe, with --vm."""

import shlex

import pytest

from postroj import limits
from postroj.cli import Parser, pkgprobe
from postroj.harness import Progress, fullmachine
from postroj.harness.life import LIFE
from postroj.harness.request import Request

_EVERYTHING = Request(
    image="debian-bookworm",
    packages=["./a b.deb", "https://example.org/x.deb"],
    needed=["curl"],
    repositories=["https://example.org stable main"],
    unsigned_repositories=["https://example.org ./"],
    repository_keys=["key.asc"],
    units=["a", "b.socket"],
    networks=["tcp://localhost:80"],
    checks=["file /etc/x text~='a b'"],
    stay=0.5,
    network_timeout=7.25,
    timeout=60.0,
    start=False,
    expect_enabled=True,
    allow_failed=["x*"],
    phases=["install", "check"],
    earlier=["a=1"],
    baseline=["./old.deb"],
    allow=["downgrade"],
    offline=True,
)


def _read(command: str) -> Request:
    parser = Parser()
    pkgprobe.configure(parser)
    words = shlex.split(command)
    assert words[:2] == ["postroj", "pkgprobe"]
    return pkgprobe._request(parser.parse_args(words[2:]))


@pytest.mark.parametrize(
    "request_",
    [
        Request(image="debian-bookworm", packages=["chrony"]),
        _EVERYTHING,
        _EVERYTHING._replace(phases=list(LIFE)),
    ],
)
def test_the_command_asks_for_the_same(request_: Request) -> None:
    for read, asked in zip(
        _read(fullmachine.command(request_, "debian-bookworm")), request_._replace(vm=True), strict=True
    ):
        assert read == (list(asked) if asked == () else asked)


def test_hints() -> None:
    request = Request(image="12", packages=["chrony"], units=["chrony"])
    command = "postroj pkgprobe --vm --image=debian-bookworm --package=chrony --check-unit=chrony"
    hint = f"set it; or {limits.FULL_MACHINE}"
    told = fullmachine.told(hint, request, "debian-bookworm")
    assert told == f"{hint}: {command}"
    assert fullmachine.told(told, request, "debian-bookworm") == told
    assert fullmachine.told("see --timeout", request, "debian-bookworm") == "see --timeout"
    for image in ("archlinux", "/srv/tree", ""):
        assert fullmachine.told(hint, request, image) == hint
    assert fullmachine.told(hint, request._replace(vm=True), "debian-bookworm") == hint


def test_an_error_has_the_hint_once() -> None:
    from postroj.errors import HostError

    progress = Progress("debian-bookworm")
    progress.request = Request(packages=["chrony"])
    error = HostError("x", hint=limits.FULL_MACHINE)
    for _ in range(2):
        result = progress.result(error)
    assert result.error and result.error.hint.count("postroj pkgprobe --vm") == 1
