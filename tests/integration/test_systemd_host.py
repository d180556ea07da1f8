"""On a host that runs systemd with machined, on cgroup2 alone: postroj works there, and is in nobody's way."""

from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

import debs
from moments import running, until
from scratch import scratch_state
from systemd_host import SystemdHost, systemd_host

_JOURNAL = ("pkgprobe", "--image=debian-bookworm", "--check-unit=systemd-journald")

# What a machine could leave there, or could have changed for others.
_TRACES = """
systemctl is-system-running
systemctl list-units --failed --plain --no-legend
find /sys/fs/cgroup -path '*postroj*'
find /run/postroj /run/netns /run/systemd/nspawn /run/systemd/machines /var/lib/machines -mindepth 1
cut -d' ' -f4- /proc/self/mountinfo | sort
ls /sys/class/net | grep '^pj-'
nft list tables | grep postroj
cat /proc/sys/net/ipv4/ip_forward
machinectl list
machinectl list-images
"""


def traces(host: SystemdHost) -> str:
    return host.run("sh", "-c", f"({_TRACES}) 2>/dev/null").stdout


@contextmanager
def leaving_no_trace(host: SystemdHost) -> Iterator[None]:
    before = traces(host)
    assert before.startswith("running\n"), before
    yield
    assert traces(host) == before


def test_host_that_runs_systemd(bookworm: str, tmp_path: Path) -> None:
    debs.build(tmp_path, "server", service=debs.SERVER)
    with (
        scratch_state(bookworm) as state,
        systemd_host(writable={state: "/var/lib/postroj"}, readable={tmp_path: "/srv"}) as host,
    ):
        assert host.run("cat", "/proc/1/comm").stdout == "systemd\n"
        assert host.run("stat", "--file-system", "--format=%T", "/sys/fs/cgroup").stdout == "cgroup2fs\n"
        checks = (says_that_it_is_fit, runs, probes, probes_a_package, probes_from_repositories, pulls)
        for check in (*checks, is_known_to_machined, is_killed_as_a_service):
            with leaving_no_trace(host):
                check(host)


def says_that_it_is_fit(host: SystemdHost) -> None:
    done = host.postroj("doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\nok    the host runs systemd" in done.stdout
    assert "\nok    cgroup2\n" in done.stdout
    assert done.stdout.endswith("this host is fit\n")


def runs(host: SystemdHost) -> None:
    done = host.postroj("run", "debian-bookworm", "hostname")
    assert (done.returncode, done.stdout, done.stderr) == (0, "postroj-debian-bookworm\n", "")


def probes(host: SystemdHost) -> None:
    done = host.postroj(*_JOURNAL)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("ok   unit systemd-journald.service: active (running)\n")


def probes_a_package(host: SystemdHost) -> None:
    package = "--package=/srv/server_1.0_all.deb"
    words = ("--check-unit=server", "--check-network=http://localhost:8080")
    done = host.postroj("pkgprobe", "--image=debian-bookworm", package, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok   network http://localhost:8080: answers 200 OK\n" in done.stdout


def probes_from_repositories(host: SystemdHost) -> None:
    words = ("--package=webfs", "--check-unit=webfs", "--check-network=http://localhost:8000")
    done = host.postroj("pkgprobe", "--image=debian-bookworm", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok   unit webfs.service: active (running)\nok   network http://localhost:8000: answers " in done.stdout


def pulls(host: SystemdHost) -> None:
    """And boots what it has pulled."""
    done = host.postroj("pull", "debian-bullseye")
    assert done.returncode == 0, done.stdout + done.stderr
    done = host.postroj("run", "debian-bullseye", "systemctl", "is-active", "dbus")
    assert (done.returncode, done.stdout) == (0, "active\n"), done.stderr


def is_known_to_machined(host: SystemdHost) -> None:
    """In a scope of its own; and the machine ends with the service that it was started in."""
    images = host.run("machinectl", "list-images").stdout
    host.start_postroj("job", "run", "debian-bookworm", "sleep", "31418")
    until(lambda: running("sleep", "31418"), "the command runs")
    listed = host.run("machinectl", "list", "--no-legend").stdout
    assert listed.split()[:3] == ["postroj-debian-bookworm", "container", "postroj"]
    scope = host.run("machinectl", "show", "--property=Unit", "--value", "postroj-debian-bookworm").stdout.strip()
    assert fnmatch(scope, "machine-postroj-debian-bookworm-*.scope")
    assert f"/machine.slice/{scope}/" in Path(f"/proc/{running('sleep', '31418')}/cgroup").read_text()
    assert host.run("machinectl", "list-images").stdout == images
    done = host.run("systemctl", "stop", "job")
    assert (done.returncode, done.stderr) == (0, "")
    assert not running("sleep", "31418")


def is_killed_as_a_service(host: SystemdHost) -> None:
    """The kernel ends the machine; the next command sweeps up."""
    host.start_postroj("job", "run", "debian-bookworm", "sleep", "31419")
    until(lambda: running("sleep", "31419"), "the command runs")
    done = host.run("systemctl", "kill", "--signal=KILL", "job")
    assert (done.returncode, done.stderr) == (0, "")
    until(lambda: not running("sleep", "31419"), "the command is dead", 10)
    until(lambda: host.control("systemctl", "is-active", "job").stdout != "active\n", "the service has ended", 10)
    runs(host)
