"""Installations that fail, wait, leave something behind or need what a container lacks: the first line says why."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import debs
import packages
from layouts import layout
from support import Run

pytestmark = pytest.mark.once

_DEBCONF = ". /usr/share/debconf/confmodule\n"
_TEMPLATES = "Template: case/password\nType: password\nDescription: Password of the case\n"
_DAEMON = "sh -c 'exec sleep 900' </dev/null {output} &\n"


# From itself, which sends nothing
_READS = """perl -MIO::Socket::INET -e '
    my $server = IO::Socket::INET->new(LocalAddr => "127.0.0.1", Listen => 5) or die $!;
    my $client = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $server->sockport) or die $!;
    print <$client>;
'
"""


class Case(NamedTuple):
    """What a package does, and what is said of it in the first line."""

    package: dict[str, Any]
    status: int
    told: str
    words: tuple[str, ...] = ()


CASES = {
    # the package's fault
    "asks by read": Case(
        {"postinst": "printf 'Accept the licence? [y/N] '; read answer; test \"$answer\" = y"}, 1,
        "the postinst of case asks for input by `read answer` (Accept the licence? [y/N]), and nobody answers",
    ),
    "asks at a terminal": Case(
        {"postinst": "read answer </dev/tty"}, 1, "the postinst of case asks at a terminal (",
    ),
    "asks by debconf": Case(
        {"postinst": f"{_DEBCONF}db_input critical case/password || true; db_go || true; db_get case/password;"
         ' test -n "$RET"', "control": {"templates": _TEMPLATES}}, 1,
        "the postinst of case asks by debconf, and nobody answers",
    ),
    "file of another package": Case(
        {"files": {"/usr/bin/gpgv": "#!/bin/sh\n"}}, 1,
        "/usr/bin/gpgv of case_1.0_all.deb is also in the package gpgv",
    ),
    "unmet dependency": Case(
        {"fields": {"Depends": "libc6 (>= 99)"}}, 1, "case depends on libc6 (>= 99) but 2.",
    ),
    "interpreter that does not exist": Case(
        {"files": {"/DEBIAN/postinst": "#!/usr/bin/fish\nexit 0\n"}, "service": None}, 1,
        "the postinst of case cannot be run: the interpreter in its first line does not exist",
    ),
    "fails of something else after a refusal": Case(
        {"postinst": "echo 1 >/proc/sys/vm/max_map_count || true; echo no licence file; exit 1"}, 1,
        "the postinst of case failed (exit status 1): no licence file",
    ),
    "holds debconf's descriptor": Case(
        {"postinst": _DEBCONF + _DAEMON.format(output=">/dev/null 2>&1")}, 1,
        "which the postinst of case has left running, holds the installation open: frontend (PID ",
    ),
    "does not end": Case(
        {"postinst": packages.STOPPED}, 3,
        "--timeout expired while case_1.0_all.deb was being installed: sh (PID ", ("--timeout=60",),
    ),
    "hangs": Case(
        {"postinst": "sleep 900"}, 1,
        "the postinst of case hangs: sleep (PID ", ("--timeout=90", "--phase=install"),
    ),
    "waits for a connection": Case(
        {"postinst": _READS}, 3, "perl (PID ", ("--timeout=60",),
    ),
    "process outside any unit, and a check that fails": Case(
        {"service": None, "postinst": _DAEMON.format(output=">/dev/null 2>&1")}, 1,
        "; the package left a process outside any unit: sleep (PID ",
        ("--check-network=tcp://localhost:8080", "--network-timeout=1"),
    ),
    # nobody's
    "owner beyond the range, in the archive": Case(
        {"owner": 2000000}, 3, "this machine cannot tell: owner beyond the machine's range of IDs ./",
    ),
    "owner beyond the range, in a script": Case(
        {"postinst": "touch /srv/x; chown 2000000 /srv/x"}, 3,
        "this machine cannot tell: owner beyond the machine's range of IDs /srv/x",
    ),
    "kernel setting": Case(
        {"postinst": "echo 262144 >/proc/sys/vm/max_map_count"}, 3,
        "this machine cannot tell: kernel setting /proc/sys/vm/max_map_count",
    ),
    "device node": Case(
        {"postinst": "mknod /dev/case b 7 0"}, 3, "this machine cannot tell: device node /dev/case",
    ),
    "kernel module": Case(
        {"postinst": "modprobe dm_mod"}, 3, "this machine cannot tell: kernel module dm_mod",
    ),
    "clock": Case({"postinst": "date -s 2020-01-01"}, 3, "this machine cannot tell: clock date"),
    "clock by systemd": Case(
        {"postinst": "timedatectl set-time 2020-01-01"}, 3, "this machine cannot tell: clock Failed to set time",
    ),
    "realtime": Case(
        {"postinst": "chrt --fifo --pid 10 $$"}, 3, "this machine cannot tell: scheduling chrt",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_first_line_names_the_fault(postroj: Run, bookworm: str, tmp_path: Path, case: Case) -> None:
    package = debs.build(tmp_path, "case", **case.package)
    done = postroj("pkgprobe", f"--image={bookworm}", f"--package={package}", *case.words)
    assert done.returncode == case.status, done.stdout + done.stderr
    lines = done.stdout.splitlines() or [line for line in done.stderr.splitlines() if line.startswith("postroj: ")]
    assert case.told in lines[0], done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "depends", "postinst", "told"),
    [
        ("debian-bullseye", "procps", "sysctl -w vm.max_map_count=262144", "kernel setting vm.max_map_count"),
        ("debian-bookworm", "procps", "sysctl -w vm.max_map_count=262144", "kernel setting vm.max_map_count"),
        ("debian-trixie", "procps", "sysctl -w vm.max_map_count=262144", "kernel setting vm.max_map_count"),
        ("debian-bookworm", "kmod", "modprobe dm_mod", "kernel module dm_mod"),
    ],
)
def test_what_programs_of_other_packages_are_refused(
    postroj: Run, image: Callable[[str], str], tmp_path: Path, name: str, depends: str, postinst: str, told: str
) -> None:
    package = debs.build(tmp_path, "case", service=None, postinst=postinst, fields={"Depends": depends})
    done = postroj("pkgprobe", f"--image={image(name)}", f"--package={package}")
    assert done.returncode == 3, done.stdout + done.stderr
    assert f"this machine cannot tell: {told}" in done.stdout.splitlines()[0]


def test_process_outside_any_unit_is_noted(postroj: Run, bookworm: str, tmp_path: Path) -> None:
    package = debs.build(tmp_path, "case", service=None, postinst=_DAEMON.format(output=""))
    done = postroj("pkgprobe", f"--image={bookworm}", f"--package={package}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "installed; left a process outside any unit: sleep (PID " in done.stdout
    assert "), ended with the installation" in done.stdout


_INIT_SCRIPT = """#!/bin/sh
### BEGIN INIT INFO
# Provides: case
# Required-Start:
# Required-Stop:
# Default-Start: 2 3 4 5
# Default-Stop:
### END INIT INFO
sleep 900 &
"""


@pytest.mark.parametrize("words", [("--check-unit=case",), ()], ids=["named", "not named"])
def test_init_script_that_systemd_does_not_read(
    postroj: Run, state: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    files = {"/etc/init.d/case": _INIT_SCRIPT}
    package = debs.build(tmp_path, "case", service=None, files=files, postinst="update-rc.d case defaults")
    image = f"oci:{layout('forky')}:it"
    done = postroj(
        "pkgprobe", f"--image={image}", f"--package={package}", *words, env={"POSTROJ_STATE_DIR": str(state)}
    )
    assert done.returncode == 1, done.stdout + done.stderr
    told = "unit case.service: does not exist: there is only /etc/init.d/case, and systemd 26"
    assert told in done.stdout.splitlines()[0], done.stdout + done.stderr


def test_directory_stands_for_the_newest_packages_in_it(postroj: Run, bookworm: str, tmp_path: Path) -> None:
    for letter, version in (("a", "1.9"), ("b", "1.10"), ("c", "1.10~rc1")):
        script = "true" if version == "1.10" else "echo too old; exit 1"
        built = debs.build(tmp_path / letter, "case", service=None, postinst=script, fields={"Version": version})
        built.rename(tmp_path / f"{letter}.deb")
    done = postroj("pkgprobe", f"--image={bookworm}", f"--package={tmp_path}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"ok   package {tmp_path}/b.deb: installed" in done.stdout
    done = postroj("pkgprobe", f"--image={bookworm}", f"--package={tmp_path}/[ac].deb")
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"package {tmp_path}/c.deb: " in done.stdout.splitlines()[0]
    assert "too old" in done.stdout.splitlines()[0]


@pytest.mark.parametrize(
    ("fields", "status", "told"),
    [
        ({}, 0, ""),
        ({"Recommends": "webfs"}, 0, "recommended packages are left out, as --offline forbids downloads: webfs"),
        ({"Depends": "webfs"}, 3, "needy depends on webfs but it is not installable, and --offline forbids downloads"),
    ],
    ids=["alone", "recommends", "depends"],
)
def test_offline_nothing_is_downloaded(
    postroj: Run, bookworm: str, tmp_path: Path, fields: dict[str, str], status: int, told: str
) -> None:
    package = debs.build(tmp_path, "needy", service="sleep infinity", fields=fields)
    done = postroj("-v", "pkgprobe", "--offline", "--image", bookworm, "--package", package, "--stay-active=0")
    assert done.returncode == status and told in done.stderr, done.stdout + done.stderr
    assert "updating package lists" not in done.stderr
