"""The main job: packages that work pass, and those that do not fail with the reason on the screen."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

import debs
from badinput import assert_no_verdict
from postroj.deadline import NEVER
from postroj.package.choice import choose
from postroj.package.reference import open_packages
from support import Run
from webserver import serving

FROM_REPOSITORIES = {
    "webfs": ("webfs", "http://localhost:8000"),
    "nginx": ("nginx", "tcp://localhost:80"),
    "redis-server": ("redis-server", "tcp://localhost:6379"),
    "openssh-server": ("ssh", "tcp://localhost:22"),
    "postgresql": ("postgresql", "tcp://localhost:5432"),
}
"""Package: its unit, and where it listens."""


def probe_words(*packages: str) -> list[str]:
    words = [f"--package={package}" for package in packages]
    for unit, address in map(FROM_REPOSITORIES.__getitem__, packages):
        words += [f"--check-unit={unit}", f"--check-network={address}"]
    return words


@pytest.mark.parametrize(
    "package",
    [pytest.param(name, marks=() if name == "webfs" else pytest.mark.network) for name in FROM_REPOSITORIES],
)
def test_package_from_the_repositories(postroj: Run, bookworm: str, package: str) -> None:
    done = postroj("pkgprobe", "--image", bookworm, *probe_words(package))
    assert done.returncode == 0, done.stdout + done.stderr
    unit, address = FROM_REPOSITORIES[package]
    assert f"unit {unit}.service: active" in done.stdout
    assert f"network {address}: " in done.stdout
    assert done.stdout.splitlines()[-1].startswith(f"PASSED {bookworm}: 3 checks")


@pytest.mark.parametrize("name", ["debian-bullseye", "debian-trixie"])
@pytest.mark.network
def test_packages_from_the_repositories_together(postroj: Run, image: Callable[[str], str], name: str) -> None:
    done = postroj("pkgprobe", "--image", image(name), *probe_words(*FROM_REPOSITORIES))
    assert done.returncode == 0, done.stdout + done.stderr
    for unit, address in FROM_REPOSITORIES.values():
        assert f"unit {unit}.service: active" in done.stdout
        assert f"network {address}: " in done.stdout


# zstd is not known to dpkg before Debian 12
@pytest.mark.once
@pytest.mark.parametrize(
    ("name", "compression"), [("debian-bullseye", "gzip"), ("debian-bookworm", "xz"), ("debian-trixie", "zstd")]
)
def test_local_file_and_url(
    postroj: Run, image: Callable[[str], str], tmp_path: Path, name: str, compression: str
) -> None:
    """In one machine: a file whose name is awkward to nspawn and to apt, and a URL that does not end in .deb."""
    local = debs.build(
        tmp_path, "local", service=debs.SERVER, compression=compression, file_name="odd: näme, \\ (1)~.deb"
    )
    served = debs.build(tmp_path, "served", fields={"Depends": "local"}, compression=compression).read_bytes()
    with serving(served) as server:
        url = f"{server.url}/download?id=1#sha256={hashlib.sha256(served).hexdigest()}"
        done = postroj(
            *("pkgprobe", "--image", image(name), "--package", local, "--package", url),
            *("--check-unit=local", "--check-unit=served", "--check-network=http://localhost:8080"),
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "unit local.service: active (running)" in done.stdout
    assert "unit served.service: active (running)" in done.stdout
    assert "network http://localhost:8080: answers 200 OK" in done.stdout


@pytest.mark.once
@pytest.mark.parametrize(
    ("service", "unit", "detail", "evidence"),
    [
        pytest.param("echo giving up; exit 7", {}, "failed (Result: exit-code)", "giving up", id="exits at once"),
        pytest.param("echo all done", {}, "inactive (dead)", "all done", id="ends at once"),
        pytest.param(
            "sleep 3; echo oh dear; kill -SEGV $$",
            {},
            "did not stay active: failed (Result: ",
            "oh dear",
            id="crashes after three seconds",
        ),
        pytest.param(
            "sleep 3; echo oh dear; exit 3",
            {"Restart": "always"},
            "did not stay active: activating (auto-restart) (Result: exit-code)",
            "oh dear",
            id="crashes and is restarted",
        ),
        pytest.param(
            "echo oh dear; exit 3", {"Restart": "always", "RestartSec": "0"}, " (Result: ", "oh dear", id="restart loop"
        ),
        pytest.param(
            debs.GOOD,
            {"ExecStart": "/usr/libexec/nowhere"},
            "cannot execute /usr/libexec/nowhere: No such file",
            "status=203/EXEC",
            id="no program",
        ),
    ],
)
def test_service_that_does_not_stay(
    postroj: Run, bookworm: str, tmp_path: Path, service: str, unit: dict[str, str], detail: str, evidence: str
) -> None:
    package = debs.build(tmp_path, "bad", service=service, unit=unit)
    done = postroj("pkgprobe", "--image", bookworm, "--package", package, "--check-unit=bad")
    assert done.returncode == 1, done.stdout + done.stderr
    verdict = next(line for line in done.stdout.splitlines() if line.startswith("FAIL unit bad.service: "))
    assert detail in verdict
    assert "bad.service - Test service bad" in done.stdout, "the unit's status is shown"
    assert any(evidence in line for line in done.stdout.splitlines() if line.startswith("     |")), done.stdout
    assert done.stdout.splitlines()[-1].startswith(f"FAILED {bookworm}: 1 of 2 checks failed")


@pytest.mark.parametrize(
    ("postinst", "reason"),
    [
        ("systemctl poweroff --force --force; sleep 60", "it was shut down or rebooted from inside"),
        ("systemctl stop dbus.socket dbus.service; sleep 60", "its D-Bus went away"),
    ],
)
def test_package_that_takes_its_guest_down(
    postroj: Run, bookworm: str, tmp_path: Path, postinst: str, reason: str
) -> None:
    package = debs.build(tmp_path, "bad", postinst=postinst)
    done = postroj("pkgprobe", "--image", bookworm, "--package", package, "--check-unit=bad")
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"FAIL machine: the machine postroj-{bookworm} is lost: {reason}" in done.stdout


_CONNECTED_TO = """exec perl -MIO::Socket::INET -e '
    my $server = IO::Socket::INET->new(LocalPort => 8080, Listen => 5) or die "no port: $!";
    $server->accept;
    print "oh dear\\n";
    exit 3;
'
"""


@pytest.mark.once
def test_service_that_dies_while_an_address_is_waited_for(postroj: Run, bookworm: str, tmp_path: Path) -> None:
    package = debs.build(tmp_path, "late", service=_CONNECTED_TO)
    done = postroj(
        *("pkgprobe", "--image", bookworm, "--package", package, "--check-unit=late", "--stay-active=0.1"),
        *("--check-network=http://localhost:8080", "--network-timeout=20"),
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAIL unit late.service: did not stay active: failed (Result: exit-code)" in done.stdout
    assert "oh dear" in done.stdout


@pytest.mark.once
def test_service_whose_port_never_opens(postroj: Run, bookworm: str, tmp_path: Path) -> None:
    package = debs.build(tmp_path, "silent")
    done = postroj(
        *("pkgprobe", "--image", bookworm, "--package", package, "--check-unit=silent"),
        *("--check-network=tcp://localhost:8080", "--network-timeout=1"),
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "ok   unit silent.service: active (running)" in done.stdout
    assert "FAIL network tcp://localhost:8080: no answer within 1 s: Connection refused" in done.stdout


@pytest.mark.once
@pytest.mark.parametrize(
    ("fields", "postinst", "reason"),
    [
        pytest.param({"Depends": "no-such-thing"}, "", "Depends: no-such-thing", id="unmet dependency"),
        pytest.param({"Depends": "bash (>= 1:99)"}, "", "Depends: bash (>= 1:99)", id="too old dependency"),
        pytest.param({}, "echo I will not; exit 9", "I will not", id="postinst"),
    ],
)
def test_package_that_does_not_install(
    postroj: Run, bookworm: str, tmp_path: Path, fields: dict[str, str], postinst: str, reason: str
) -> None:
    package = debs.build(tmp_path, "bad", fields=fields, postinst=postinst)
    done = postroj("pkgprobe", "--image", bookworm, "--package", package, "--check-unit=bad")
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"FAIL package {package}: " in done.stdout
    assert reason in done.stdout
    assert "skip unit bad.service: not tried, because of package" in done.stdout, "what is not installed is not probed"


@pytest.mark.once
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no-such-package-anywhere", "Unable to locate package no-such-package-anywhere"),
        ("bash=99.0-1", "Version '99.0-1' for 'bash' was not found"),
    ],
)
def test_name_that_no_repository_knows(postroj: Run, bookworm: str, name: str, reason: str) -> None:
    done = postroj("pkgprobe", "--image", bookworm, "--package", name)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"FAIL package {name}: " in done.stdout
    assert reason in done.stdout


@pytest.mark.once
def test_unit_that_does_not_exist(postroj: Run, bookworm: str, tmp_path: Path) -> None:
    package = debs.build(tmp_path, "steady")
    done = postroj("pkgprobe", "--image", bookworm, "--package", package, "--check-unit=steddy")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAIL unit steddy.service: does not exist; there is steady.service" in done.stdout


@pytest.mark.once
@pytest.mark.parametrize(
    ("postinst", "start"),
    [
        pytest.param("exec sleep infinity", "true", id="in the installation"),
        pytest.param("", "systemctl start --no-block", id="while a unit starts"),
    ],
)
def test_time_that_is_up_before_there_is_a_verdict(
    postroj: Run, bookworm: str, tmp_path: Path, postinst: str, start: str
) -> None:
    """Whose fault it is cannot be told: more time might have done."""
    unit = {"Type": "notify", "TimeoutStartSec": "infinity"}
    package = debs.build(tmp_path, "slow", unit=unit, postinst=postinst, start=start)
    done = postroj("pkgprobe", "--image", bookworm, "--package", package, "--check-unit=slow", "--timeout=5")
    assert_no_verdict(done, bookworm, "see --timeout")
    assert "FAIL" not in done.stdout


@pytest.mark.once
def test_time_that_is_up_while_a_failure_is_looked_into(postroj: Run, bookworm: str, tmp_path: Path) -> None:
    """Its journal does not answer: it might have told of something that the machine lacks."""
    silent = "printf '#!/bin/sh\\nexec sleep 900\\n' >/usr/bin/journalctl"
    package = debs.build(tmp_path, "mute", service="exit 1", postinst=silent)
    done = postroj(
        "pkgprobe", "--image", bookworm, "--package", package, "--check-unit=mute", "--timeout=90", timeout=240
    )
    assert_no_verdict(done, bookworm, "--timeout expired while the machine was asked why")
    assert "FAIL" not in done.stdout


def test_many_reloads(postroj: Run, image: Callable[[str], str]) -> None:
    """Since systemd 254 each has the guest notify nspawn, and nspawn us: nobody may block when we no longer listen."""
    script = "for _ in $(seq 20); do systemctl daemon-reload; done; echo done"
    done = postroj("run", "--timeout=60", image("debian-trixie"), "sh", "-c", script)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


@pytest.mark.once
def test_local_file_with_a_dependency_in_the_repositories(postroj: Run, bookworm: str, tmp_path: Path) -> None:
    package = debs.build(tmp_path, "dependent", fields={"Depends": "webfs (>= 1)"})
    done = postroj(
        *("pkgprobe", "--image", bookworm, "--package", package, "--check-unit=dependent"),
        *("--check-network=http://localhost:8000", "--stay-active=0.1"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "network http://localhost:8000: answers " in done.stdout


@pytest.mark.once
def test_the_image_is_chosen(postroj: Run, image: Callable[[str], str], tmp_path: Path) -> None:
    package = debs.build(tmp_path, "hello")
    name = image(choose(open_packages([str(package)], deadline=NEVER)).name)
    done = postroj("pkgprobe", "--package", package, "--stay-active=0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"taking {name}, the newest supported image for .deb packages" in done.stderr
    assert done.stdout.splitlines()[-1].startswith(f"PASSED {name}: 2 checks")
