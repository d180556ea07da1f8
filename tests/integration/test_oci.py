"""Images on their whole way: from a registry server, a layout or an archive to a verdict."""

from collections.abc import Iterator
from pathlib import Path
from signal import Signals

import pytest

from badinput import assert_told
from layouts import ALPINE, PROGRAM, SLIM, SUITES, layout, run
from moments import deliver, running, started, until
from registry import Registry, free_port, registry
from residue import image_debris
from support import POSTROJ, Run

pytestmark = pytest.mark.once

_IMAGE = "debian-buster"
_SYSTEMD = {"bullseye": 247, "bookworm": 252, "trixie": 257}


@pytest.fixture(scope="module")
def server(environment: dict[str, str]) -> Iterator[Registry]:
    with registry() as running_registry:
        running_registry.push(SLIM, "debian/eol:buster")
        running_registry.push(PROGRAM, "team/program:1")
        yield running_registry


@pytest.fixture
def run_here(server: Registry, state: Path, postroj: Run, tmp_path: Path) -> Run:
    """postroj, for a user whose docker.io is the registry."""
    environment = {**server.home(tmp_path), "POSTROJ_STATE_DIR": str(state)}
    return lambda *words, **more: postroj(*words, env=environment, **more)


@pytest.mark.network
def test_from_a_registry_to_a_verdict(run_here: Run, state: Path) -> None:
    pulled = run_here("pull", _IMAGE)
    assert pulled.returncode == 0, pulled.stderr
    assert pulled.stdout.startswith(f"ok      {_IMAGE}: ")
    for phase in ("download", "unpack", "provision", "settle"):
        assert f"{phase} " in pulled.stdout
    assert "downloading docker://docker.io/debian/eol:buster" in pulled.stderr
    assert "installing systemd and D-Bus" in pulled.stderr
    assert image_debris(state / "images") == set()

    # Docker's images forbid services to start.
    assert not (state / "images" / _IMAGE / "usr/sbin/policy-rc.d").exists()
    probe = ["--package=webfs", "--check-unit=webfs", "--check-network=http://localhost:8000"]
    probed = run_here("pkgprobe", f"--image={_IMAGE}", *probe)
    assert probed.returncode == 0, probed.stdout + probed.stderr
    assert "ok   unit webfs.service: active (running)" in probed.stdout


@pytest.mark.network
@pytest.mark.parametrize("suite", SUITES)
def test_suite_that_comes_from_a_registry(suite: str, server: Registry, run_here: Run, state: Path) -> None:
    digest = server.push(suite, f"library/debian:{suite}")
    name = f"debian-{suite}"
    pulled = run_here("pull", "--source=oci", name)
    assert pulled.returncode == 0, pulled.stderr
    assert "installing" not in pulled.stderr  # what is there is not installed again
    inspected = run_here("image", "inspect", name).stdout
    assert f'"reference": "docker://docker.io/library/debian:{suite}"' in inspected
    assert f'"digest": "{digest}"' in inspected
    version = run_here("run", name, "systemctl", "--version").stdout
    assert version.startswith(f"systemd {_SYSTEMD.get(suite, '')}")
    assert run_here("image", "verify").returncode == 0
    # Nothing has changed there: nothing is done.
    again = run_here("pull", "--source=oci", "--update", name)
    assert "unpacking" not in again.stderr


def test_any_reference_is_an_image(run_here: Run, server: Registry, state: Path) -> None:
    reference = f"docker://{server.address}/team/program:1"
    done = run_here("run", reference, "/program", "--version")
    assert (done.returncode, done.stdout.startswith("ldconfig")) == (0, True), done.stderr
    assert "downloading" in done.stderr
    again = run_here("run", "--offline", reference, "/program", "--version")
    assert (again.returncode, again.stderr) == (0, "")
    probed = run_here("pkgprobe", f"--image={reference}", "--check-unit=dbus")
    assert_told(probed, 3, "has no systemd, and cannot be booted", "--no-boot")


def test_references_of_docker(run_here: Run, server: Registry) -> None:
    """As docker takes them: without transport, registry or tag."""
    server.push(PROGRAM, "library/ubuntu:latest")
    server.push(PROGRAM, "library/fedora:43-slim")
    for short, reference in {
        "ubuntu": "docker.io/library/ubuntu:latest",
        "fedora:43-slim": "docker.io/library/fedora:43-slim",
        f"{server.address}/team/program:1": f"{server.address}/team/program:1",
    }.items():
        done = run_here("run", "--rm", short, "/program", "--version")
        assert (done.returncode, done.stdout.startswith("ldconfig")) == (0, True), done.stderr
        assert f"docker://{reference}" in run_here("image", "inspect", short).stdout
        assert run_here("-q", "run", "--offline", f"docker://{reference}", "/program", "--version").stderr == ""


@pytest.mark.parametrize("transport", ["oci", "oci-archive", "docker-archive"])
def test_local_image(transport: str, run_here: Run, tmp_path: Path) -> None:
    path = tmp_path / "local"
    run("skopeo", "copy", f"oci:{layout(PROGRAM)}:it", f"{transport}:{path}:it")
    reference = f"{transport}:{path}" + (":it" if transport == "oci" else "")
    done = run_here("run", "--offline", reference, "/program", "--version")
    assert (done.returncode, done.stdout.startswith("ldconfig")) == (0, True), done.stderr


def test_offline_nothing_is_installed(run_here: Run, state: Path) -> None:
    reference = f"oci:{layout(SLIM)}:it"
    assert_told(run_here("pull", "--offline", reference), 3, "systemd and D-Bus", "--offline")
    assert image_debris(state / "images") == set()


def test_alpine_has_no_systemd_and_is_run_without(server: Registry, run_here: Run) -> None:
    server.push(ALPINE, "library/alpine:3.20")
    done = run_here("run", "alpine-3.20", "cat", "/etc/alpine-release")
    assert (done.returncode, done.stdout) == (0, "3.20.3\n"), done.stderr
    assert_told(run_here("pkgprobe", "--image=alpine-3.20", "--check-unit=x"), 3, "has no systemd")


def test_digest_pins_what_is_pulled(server: Registry, run_here: Run) -> None:
    first = server.push(PROGRAM, "debian/eol:stretch")
    pinned = run_here("pull", f"debian-stretch@{first}")
    assert pinned.returncode == 0, pinned.stderr
    wrong = "sha256:" + "0" * 64
    assert_told(run_here("pull", f"debian-stretch@{wrong}"), 3, "not found in its registry")
    assert f'"digest": "{first}"' in run_here("image", "inspect", "debian-stretch").stdout


def test_lock_file_makes_it_repeatable(
    server: Registry, run_here: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    digest = server.push(PROGRAM, "debian/eol:stretch")
    assert run_here("pull", "--lock", "debian-stretch").returncode == 0
    assert digest in Path("postroj.lock").read_text()
    assert run_here("image", "rm", "debian-stretch").returncode == 0
    assert server.push(SLIM, "debian/eol:stretch") != digest  # the tag has moved
    locked = run_here("pull", "--locked")
    assert locked.returncode == 0, locked.stderr
    assert f'"digest": "{digest}"' in run_here("image", "inspect", "debian-stretch").stdout


def test_mirror_is_the_users_own(server: Registry, state: Path, postroj: Run, tmp_path: Path) -> None:
    env = {**server.home(tmp_path, mirror=True), "POSTROJ_STATE_DIR": str(state)}
    server.push(PROGRAM, "debian/eol:stretch")
    done = postroj("pull", "debian-stretch", env=env)
    assert done.returncode == 0, done.stderr


def test_login_is_the_users_own(server: Registry, state: Path, postroj: Run, tmp_path: Path) -> None:
    env = {**server.home(tmp_path, login=False), "POSTROJ_STATE_DIR": str(state)}
    assert_told(postroj("pull", _IMAGE, env=env), 3, "requires authentication", "skopeo login")


def test_certificate_that_nobody_trusts(server: Registry, state: Path, postroj: Run, tmp_path: Path) -> None:
    env = {**server.home(tmp_path, trust=False), "POSTROJ_STATE_DIR": str(state)}
    assert_told(postroj("pull", _IMAGE, env=env), 3, "certificate of its registry not trusted", "containers-certs.d(5)")


@pytest.mark.parametrize("command", ["pull", "run", "pkgprobe"])
def test_registry_that_has_no_such_image(
    command: str, server: Registry, state: Path, postroj: Run, tmp_path: Path
) -> None:
    _assert_fails(command, {**server.home(tmp_path, "/nothing/here"), "POSTROJ_STATE_DIR": str(state)}, state, postroj)


def test_registry_that_is_down(state: Path, postroj: Run, tmp_path: Path) -> None:
    _assert_fails("pull", {**Registry(free_port()).home(tmp_path), "POSTROJ_STATE_DIR": str(state)}, state, postroj)


def test_download_that_is_interrupted(
    server: Registry, state: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    env = {**environment, **server.home(tmp_path), "POSTROJ_STATE_DIR": str(state)}
    with started([POSTROJ, "pull", _IMAGE], env) as process:
        until(lambda: running("skopeo") or running("umoci") or process.poll() is not None, "skopeo or umoci runs")
        assert process.poll() is None, process.communicate()
        deliver(process, Signals.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert image_debris(state / "images") == set()
    assert not (state / "images" / _IMAGE).is_symlink()


def _assert_fails(command: str, env: dict[str, str], state: Path, postroj: Run) -> None:
    words = {
        "pull": ["pull", _IMAGE],
        "run": ["run", _IMAGE, "true"],
        "pkgprobe": ["pkgprobe", f"--image={_IMAGE}", "--check-unit=dbus"],
    }
    done = postroj(*words[command], env=env, timeout=60)
    told = f"postroj: {_IMAGE} cannot be pulled: "
    assert_told(done, {"pull": 3, "run": 125, "pkgprobe": 3}[command], told)
    assert image_debris(state / "images") == set()
    assert not (state / "images" / _IMAGE).is_symlink()
