"""--memory, --cpus, --tasks and --disk: limits that a guest does not get past, and what is said where it tries."""

import subprocess
from pathlib import Path

import pytest

import controllers
import debs
from badinput import assert_told
from guests import guest
from moments import until
from support import POSTROJ, Run

_MIB = 1 << 20

# COUNT: as many children, or until there can be no more; says which, and ends them.
_FORK = """exec perl -e '
    my @children;
    for (1 .. $ARGV[0]) {
        my $pid = fork;
        if (!defined $pid) { print "$!\\n"; last }
        if (!$pid) { sleep }
        push @children, $pid;
    }
    print scalar @children, "\\n";
    kill KILL => @children;
' "$@"
"""
# The children of children, each of which makes more: as a fork bomb does, but each for so many generations only.
_BOMB = """perl -e '
    $SIG{CHLD} = "IGNORE";
    for (1 .. 12) { fork }
    sleep 1 while 1;
' >/dev/null 2>&1 &
"""

_USE_MEMORY = """exec perl -e 'my $memory = "x" x ($ARGV[0] << 20); print "done\\n"' "$@" """
_WRITE = 'dd if=/dev/zero of="$1" bs=1M count="$2"'


# --- tasks ---


def test_tasks(bookworm: str, environment: dict[str, str]) -> None:
    controllers.need("pids")
    with guest(environment, "--tasks=100", bookworm) as one:
        assert controllers.read(one, "pids", "pids.max", "pids.max") == "100"
        done = one.ask(_FORK, 400)
        assert done.output.startswith("Resource temporarily unavailable\n"), done
        assert int(done.output.split()[-1]) < 100
        assert one.ask("echo works") == (0, "works\n")
        assert one.leave() == (0, "")
    with guest(environment, bookworm) as one:
        assert one.ask(_FORK, 400) == (0, "400\n")


def test_fork_bomb(bookworm: str, environment: dict[str, str], postroj: Run) -> None:
    """4096 processes that nothing in the guest ends: it stays within its limit, and ends as others do."""
    controllers.need("pids")
    with guest(environment, "--tasks=100", bookworm) as one:
        assert one.ask(_BOMB) == (0, "")
        until(lambda: controllers.read(one, "pids", "pids.current", "pids.current") == "100", "it is at its limit", 20)
        assert postroj("run", bookworm, "echo", "undisturbed").stdout == "undisturbed\n"
        assert one.leave()[0] == 0


def test_limits_are_not_for_a_guest_to_raise(bookworm: str, environment: dict[str, str]) -> None:
    """Though its root can mount the hierarchies of the host; only who is privileged raises them."""
    controllers.need("pids")
    script = (
        "mkdir -p /tmp/v1 /tmp/v2; mount -t cgroup -o pids pids /tmp/v1; mount -t cgroup2 cgroup2 /tmp/v2;"
        " for top in /tmp/v1 /tmp/v2 /sys/fs/cgroup; do echo max >$top/pids.max; done;"
        " echo $$ >/tmp/v1/../cgroup.procs"
    )
    with guest(environment, "--tasks=100", bookworm) as one:
        done = one.ask(script)
        assert controllers.read(one, "pids", "pids.max", "pids.max") == "100", done
        assert int(one.ask(_FORK, 400).output.split()[-1]) < 100
    with guest(environment, "--tasks=100", "--privileged", bookworm) as one:
        done = one.ask(script)
        if "v1/pids.max" in done.output:
            pytest.skip("cgroup2 shows a machine nothing of what is above it, privileged or not")
        assert controllers.read(one, "pids", "pids.max", "pids.max") == "max", done


# --- memory ---


def test_memory(bookworm: str, postroj: Run, environment: dict[str, str]) -> None:
    controllers.need("memory")
    with guest(environment, "--memory=200M", bookworm) as one:
        assert controllers.read(one, "memory", "memory.limit_in_bytes", "memory.max") == str(200 * _MIB)
    done = postroj("run", "--memory=200M", bookworm, "sh", "-c", _USE_MEMORY, "sh", "400")
    assert (done.returncode, done.stdout) == (137, "")
    assert "the kernel's OOM killer ended processes" in done.stderr
    done = postroj("run", bookworm, "sh", "-c", _USE_MEMORY, "sh", "400")
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


@pytest.mark.parametrize("path", ["/root/file", "/dev/shm/file", "/run/file"])
def test_memory_that_files_take(path: str, bookworm: str, postroj: Run) -> None:
    """Where a guest writes to is memory. The killer may find others than the one who writes."""
    controllers.need("memory")
    done = postroj("run", "--memory=150M", bookworm, "sh", "-c", _WRITE, "sh", path, "300", timeout=60)
    assert done.returncode in (125, 137), done.stderr
    assert "OOM killer" in done.stderr
    done = postroj("run", bookworm, "sh", "-c", _WRITE, "sh", path, "300")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("hungry", ["the installation", "the service"])
def test_package_that_runs_out_of_memory_has_no_verdict(
    hungry: str, bookworm: str, postroj: Run, tmp_path: Path
) -> None:
    controllers.need("memory")
    command = """perl -e 'my $memory = "x" x (400 << 20); sleep'"""
    build = {"postinst": command + "\n"} if hungry == "the installation" else {"service": f"exec {command}"}
    package = debs.build(tmp_path, "hungry", **build)  # type: ignore[arg-type]
    words = ("pkgprobe", f"--image={bookworm}", f"--package={package}")
    done = postroj(*words, "--memory=200M", "--check-unit=hungry")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "no verdict: the kernel's OOM killer ended processes in the machine" in done.stderr


# --- CPU time ---


@pytest.mark.parametrize(("cpus", "quota"), [("0.5", 50000), ("1.5", 150000)])
def test_cpus(cpus: str, quota: int, bookworm: str, environment: dict[str, str]) -> None:
    controllers.need("cpu")
    with guest(environment, f"--cpus={cpus}", bookworm) as one:
        said = controllers.read(one, "cpu", "cpu.cfs_quota_us", "cpu.max")
        assert said in (str(quota), f"{quota} 100000")
    with guest(environment, bookworm) as one:
        assert controllers.read(one, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0] in ("-1", "max")


# --- disk ---


def test_disk(bookworm: str, environment: dict[str, str]) -> None:
    with guest(environment, "--disk=32M", bookworm) as one:
        for directory in ("/root", "/var/tmp", "/usr/lib"):
            done = one.ask(_WRITE, f"{directory}/file", 64)
            assert done.status == 1
            assert "No space left on device" in done.output
            assert int(one.ask("stat -c %s $1/file", directory).output) < 32 * _MIB
            assert one.ask("rm $1/file; echo works", directory) == (0, "works\n")
    with guest(environment, bookworm) as one:
        assert one.ask(_WRITE, "/root/file", 64).status == 0


# --- all of them ---


@pytest.mark.once
@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("--memory=lots", "'lots' is not a size: write 1M to 1024T"),
        ("--memory=512", "'512' is not a size: write 1M to 1024T"),
        ("--memory=-1G", "'-1G' is not a size: write 1M to 1024T"),
        ("--memory=1.5G", "'1.5G' is not a size: write 1M to 1024T"),
        ("--memory=9999999T", "is not a size: write 1M to 1024T"),
        ("--disk=0", "'0' is not a size: write 1M to 1024T"),
        ("--cpus=0", "'0' is not a number of CPUs"),
        ("--cpus=nan", "'nan' is not a number of CPUs"),
        ("--cpus=inf", "'inf' is not a number of CPUs"),
        ("--cpus=two", "'two' is not a number of CPUs"),
        ("--tasks=1", "'1' is not a number of tasks: write 16 to"),
        ("--tasks=1e3", "'1e3' is not a number of tasks: write 16 to"),
    ],
)
def test_limits_that_cannot_be(given: str, sentence: str, bookworm: str, postroj: Run) -> None:
    done = postroj("run", given, bookworm, "true")
    assert (done.returncode, done.stdout) == (125, "")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    done = postroj("pkgprobe", f"--image={bookworm}", given, "--check-unit=dbus")
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr


def test_memory_within_which_nothing_boots(bookworm: str, postroj: Run) -> None:
    controllers.need("memory")
    done = postroj("run", "--timeout=60", "--memory=16M", bookworm, "true", timeout=120)
    assert_told(
        done, 125, f"the machine postroj-{bookworm} did not come up: the kernel's OOM killer ended processes in it"
    )


def test_tasks_with_which_little_runs(bookworm: str, postroj: Run) -> None:
    """A guest that is lucky boots with them; one that is not has an end, and says which."""
    controllers.need("pids")
    done = postroj("run", "--timeout=60", "--tasks=16", bookworm, "true", timeout=120)
    if done.returncode != 0:
        assert_told(done, 124 if "did not end within" in done.stderr else 125, "postroj: ")


def test_disk_on_which_little_can_be_written(bookworm: str, postroj: Run) -> None:
    done = postroj("run", "--disk=1M", bookworm, "sh", "-c", _WRITE, "sh", "/root/file", "4")
    assert done.returncode == 1, done.stderr
    assert "No space left on device" in done.stderr


def test_limits_that_are_not_enforced_are_told(bookworm: str, environment: dict[str, str]) -> None:
    """Here: on a host as it would be without controllers."""
    script = 'umount --recursive --lazy /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$@"'
    options = ["--memory=512M", "--cpus=1", "--tasks=200"]
    if Path("/sys/fs/cgroup/cgroup.controllers").exists() and Path("/sys/fs/cgroup/cgroup.controllers").read_text():
        pytest.skip("this host has its controllers in cgroup2")
    done = subprocess.run(
        [
            *("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"),
            *(POSTROJ, "run", *options, bookworm, "echo", "works"),
        ],
        env=environment,
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "works\n")
    for option, controller in (("--memory", "memory"), ("--cpus", "cpu"), ("--tasks", "pids")):
        assert f"{option} is not enforced: this host has no {controller} controller for machines" in done.stderr
