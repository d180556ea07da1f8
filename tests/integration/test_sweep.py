"""Sweeping up: all that killed runs left is removed, and nothing that a living one owns."""

import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import debris
from moments import Process, nspawn, started
from residue import Residue, image_debris
from scratch import scratch_state
from support import POSTROJ, Run

_RUN = ("run", "debian-bookworm", "true")
_PROBE = ("pkgprobe", "--image=debian-bookworm", "--check-unit=systemd-journald")
_PORT = "7777"
_SERVER = (
    "perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(LocalPort => $ARGV[0], Listen => 9) or die $!; $| = 1; "
    'print "up\\n"; close $c while $c = $s->accept\' ' + _PORT
)
_OWN_RUN = 'mount -t tmpfs tmpfs /run && exec "$@"'
_REACH = ("timeout", "3", "bash", "-c", f': </dev/tcp/"$0"/{_PORT}')


def _sweep(postroj: Run, words: tuple[str, ...]) -> None:
    done = postroj(*words, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


# What sweeps up is the same for both; a run takes a number besides, which may be that of what it has swept up.
@pytest.mark.parametrize(
    ("words", "kind"),
    [
        *(pytest.param(("gc",), kind, id=f"gc-{kind}") for kind in debris.KINDS),
        *(pytest.param(_RUN, kind, id=f"run-{kind}") for kind in debris.KINDS if kind in debris.MET_BY_A_RUN),
    ],
)
def test_debris_is_removed(kind: str, words: tuple[str, ...], bookworm: str, postroj: Run) -> None:
    before = Residue.take()
    for make in debris.KINDS[kind]:
        make()
    if kind != "cgroups of cgroup v1" or debris.hierarchies("memory", "pids", "cpu"):
        assert Residue.take() != before
    _sweep(postroj, words)
    assert Residue.left(before) == before


@pytest.mark.parametrize("words", [("gc",), _RUN, _PROBE], ids=["gc", "run", "pkgprobe"])
def test_debris_of_images_is_removed(words: tuple[str, ...], bookworm: str, postroj: Run) -> None:
    with scratch_state(bookworm) as state:
        images = state / "images"
        (images / ".trees/debian-trixie.0123abcd/root/etc").mkdir(parents=True)
        (images / ".trees/debian-trixie.0123abcd/root/etc/hosts").touch()
        (images / ".pull-debian-trixie").mkdir()
        (images / ".new-debian-trixie").symlink_to(".trees/debian-trixie.0123abcd/root")
        done = postroj(*words, env={"POSTROJ_STATE_DIR": str(state)}, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
        assert image_debris(images) == set()
        assert (images / bookworm / "usr").is_dir()


def test_gc_says_what_it_removes(postroj: Run) -> None:
    debris.claim("one")
    debris.member(7, "lab two")
    debris.network()
    first, second = postroj("gc"), postroj("gc")
    assert sorted(first.stdout.splitlines()) == ["removed machine one", "removed network link pj-7"]
    assert second.stdout == "nothing to remove\n"


@pytest.fixture(
    params=[(debris.FORWARD, "0", "1"), (debris.INSTANCES, "128", "8192"), (debris.EXPEDITED, "0", "1")],
    ids=lambda param: param[0].name,
)
def setting(request: pytest.FixtureRequest) -> Iterator[tuple[Path, str, str]]:
    """A setting of the kernel's, what it may be before there are machines, and what it is then; put back at the end."""
    path: Path = request.param[0]
    before = path.read_text()
    try:
        path.write_text(before)
    except OSError as error:
        pytest.skip(f"this host does not let us: {error}")
    yield request.param
    path.write_text(before)


def test_setting_is_set_back(setting: tuple[Path, str, str], postroj: Run) -> None:
    path, before, while_running = setting
    debris.note(path, before)
    path.write_text(while_running)
    _sweep(postroj, ("gc",))
    assert path.read_text().strip() == before


def test_setting_is_as_machines_need_it_while_one_runs(
    setting: tuple[Path, str, str], bookworm: str, environment: dict[str, str]
) -> None:
    path, before, while_running = setting
    path.write_text(before)
    with started([POSTROJ, "run", bookworm, "sh", "-c", "echo up; exec sleep infinity"], environment) as process:
        assert process.stdout
        assert process.stdout.readline() == b"up\n", process.communicate()
        assert path.read_text().strip() == while_running
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    assert path.read_text().strip() == before


def test_setting_that_was_so_before_stays(setting: tuple[Path, str, str], postroj: Run) -> None:
    path, _, while_running = setting
    debris.note(path, while_running)
    path.write_text(while_running)
    _sweep(postroj, ("gc",))
    assert path.read_text().strip() == while_running


def test_much_debris_and_many_who_sweep_at_once(bookworm: str, postroj: Run) -> None:
    before = Residue.take()
    for number in range(20):
        debris.claim(f"killed-{number}")
        debris.cgroup2(f"killed-{number}")
        debris.member(number, f"lab killed-{number}")
    debris.network()
    with ThreadPoolExecutor(6) as lanes:
        list(lanes.map(lambda words: _sweep(postroj, words), [("gc",), _RUN] * 3))
    assert Residue.left(before) == before


def test_what_others_have_locked_stays(bookworm: str, postroj: Run) -> None:
    """A machine of which there is only what it owns: all that says it is alive are its locks."""
    before = Residue.take()
    with debris.locked(debris.RUNTIME / "held", debris.RUNTIME / ".slot-7"):
        (debris.RUNTIME / ".slot-7/member").write_text("lab held")
        debris.network()
        debris.link(7)
        debris.cgroup2("held")
        (debris.RUNTIME / "held/mounts").mkdir()
        _sweep(postroj, _RUN)  # the first one has the rules made, which stay as long as the link
        held = Residue.take()
        with ThreadPoolExecutor(3) as lanes:
            list(lanes.map(lambda words: _sweep(postroj, words), [("gc",), _RUN, ("gc",), _PROBE, ("gc",)]))
        assert Residue.left(held) == held
        assert (debris.RUNTIME / ".slot-7/member").read_text() == "lab held"
        assert "10.213.0.30 held\n" in (debris.RUNTIME / ".network-lab/hosts").read_text()
    _sweep(postroj, ("gc",))
    assert Residue.left(before) == before


def test_living_machine_stays_whole(bookworm: str, environment: dict[str, str], postroj: Run) -> None:
    """While others come, go, and sweep."""
    before = Residue.take()
    words = ["run", "--name=living", "--network=lab", "--memory=1G", bookworm, "sh", "-c", _SERVER]
    with started([POSTROJ, *words], environment) as process:
        _is_up(process)
        alone = Residue.take()
        assert len(alone.files) > len(before.files)
        reach = ("run", "--network=lab", "debian-bookworm", *_REACH, "living")
        with ThreadPoolExecutor(3) as lanes:
            list(lanes.map(lambda words: _sweep(postroj, words), [("gc",), _RUN, reach, ("gc",), _PROBE, reach] * 3))
        assert process.poll() is None, process.communicate()
        assert Residue.left(alone) == alone
        _sweep(postroj, reach)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert Residue.left(before) == before


def test_killed_neighbour_leaves_a_shared_network(bookworm: str, environment: dict[str, str], postroj: Run) -> None:
    before = Residue.take()
    on_lab = ["--network=lab", bookworm, "sh", "-c", _SERVER]
    hosts = debris.RUNTIME / ".network-lab/hosts"
    with started([POSTROJ, "run", "--name=living", *on_lab], environment) as living:
        _is_up(living)
        alone, names = Residue.take(), hosts.read_text()
        with started([POSTROJ, "run", "--name=dying", *on_lab], environment) as dying:
            _is_up(dying)
            assert " dying\n" in hosts.read_text()
            dying.kill()
            dying.communicate(timeout=60)
        assert Residue.settled_by_kernel(alone.by_kernel()) == alone.by_kernel()
        _sweep(postroj, ("gc",))
        assert Residue.left(alone) == alone
        assert hosts.read_text() == names
        _sweep(postroj, ("run", "--network=lab", "debian-bookworm", *_REACH, "living"))
        living.send_signal(signal.SIGTERM)
        living.communicate(timeout=60)
    assert Residue.left(before) == before


def test_number_of_a_killed_run_comes_without_its_network(
    bookworm: str, environment: dict[str, str], postroj: Run
) -> None:
    """Or the machine that takes the number over would be reached by whoever is on it."""
    debris.member(0, "lab dead")
    debris.network()
    with started([POSTROJ, "run", "--name=apart", bookworm, "sh", "-c", _SERVER], environment) as apart:
        _is_up(apart)
        done = postroj("run", "--network=lab", "--name=curious", bookworm, "cat", "/etc/hosts")
        assert (done.returncode, done.stderr) == (0, "")
        assert "dead" not in done.stdout
        done = postroj("run", "--network=lab", "--name=curious", bookworm, *_REACH, "10.213.0.2")
        assert done.returncode == 124, done.stderr
        apart.send_signal(signal.SIGTERM)
        apart.communicate(timeout=60)


def test_processes_in_what_a_killed_run_left_are_killed(postroj: Run) -> None:
    debris.claim()
    debris.cgroup2()
    with subprocess.Popen(["sleep", "31417"]) as sleeper:
        for root in debris.hierarchies():
            (root / "postroj/killed/payload/cgroup.procs").write_text(str(sleeper.pid))
            _sweep(postroj, ("gc",))
            assert sleeper.wait(60) == -9
        sleeper.kill()


def test_machine_of_a_postroj_with_a_run_directory_of_its_own_stays(
    bookworm: str, environment: dict[str, str], postroj: Run
) -> None:
    """Another container on the same kernel, say: its locks cannot be seen, its processes can."""
    alone = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _OWN_RUN, "sh"]
    with started([*alone, POSTROJ, "run", "--name=apart", bookworm, "sh", "-c", _SERVER], environment) as process:
        _is_up(process)
        for words in (("gc",), _RUN, ("gc",)):
            _sweep(postroj, words)
        if not Path("/run/systemd/system").exists():  # where it does, only one of them sees that, and they do not meet
            done = postroj("run", "--name=apart", bookworm, "true")
            assert done.returncode == 125
            assert "a machine named apart is running already" in done.stderr
        assert process.poll() is None
        assert nspawn(process)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    _sweep(postroj, ("gc",))


def _is_up(process: Process) -> None:
    assert process.stdout
    assert process.stdout.readline() == b"up\n", process.communicate()
