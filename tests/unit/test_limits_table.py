"""What a container cannot give is recognised, and nothing else is."""

import re
from pathlib import Path

import pytest

from postroj import limits

_PAGE = Path(__file__).parent.parent.parent / "docs/limits.md"
_EXAMPLES = dict(re.findall(r"^\| ([a-z][^|]*?) \| `(.+?)` \| (?:yes|no|by)", _PAGE.read_text(), re.MULTILINE))


def test_the_page_has_all_kinds() -> None:
    assert set(_EXAMPLES) == {report.kind for report in limits.REPORTS}


@pytest.mark.parametrize("kind", sorted(_EXAMPLES))
def test_the_example_of_the_page_is_recognised(kind: str) -> None:
    limit = limits.of_output(f"Starting.\n{_EXAMPLES[kind]}\nGiving up.")
    assert limit and limit.what.startswith(f"{kind} ")


def test_the_page_has_all_exit_statuses() -> None:
    rows = re.findall(r"^\| (2\d\d) \| `(.+?)` \|", _PAGE.read_text(), re.MULTILINE)
    assert {int(status): setting for status, setting in rows} == limits.EXIT_STATUSES


def test_the_page_has_all_conditions() -> None:
    listed = _PAGE.read_text().partition("<!-- conditions -->")[2].partition("<!-- end -->")[0]
    assert set(re.findall(r"\w+", listed)) == limits.CONDITIONS


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ('sysctl: permission denied on key "vm.max_map_count", ignoring', "vm.max_map_count"),
        ('sysctl: setting key "kernel.shmmax": Read-only file system', "kernel.shmmax"),
        ("sh: 1: cannot create /proc/sys/net/core/somaxconn: Permission denied", "/proc/sys/net/core/somaxconn"),
        ("failed to load program: bpf: operation not permitted", "bpf"),
        ("unable to set audit pid: Operation not permitted", "audit pid"),
        ("Error opening /dev/kvm: No such file or directory", "/dev/kvm"),
        ("/usr/libexec/x: 2: cannot open /dev/loop0: No such file", "/dev/loop0"),
        ("mknod: /dev/loop0: Operation not permitted", "/dev/loop0"),
        ("modprobe: ERROR: could not insert 'ip_tables': Operation not permitted", "ip_tables"),
        ("chown: changing ownership of '/srv/x': Invalid argument", "/srv/x"),
        ("(Hardware RNG device inode not found)", "RNG device"),
        ("!!! no hardware RNG device found !!!", "RNG device"),
        ("ERROR: missing kernel modules directory /lib/modules/6.1.0-9", "/lib/modules/6.1.0-9"),
        ("no headers: /usr/lib/modules/6.1.0-9/build does not exist", "/usr/lib/modules/6.1.0-9/build"),
        ("mount: /sys/fs/bpf: mount point does not exist.", "/sys/fs/bpf"),
        ("write /proc/self/oom_score_adj: Permission denied", "/proc/self/oom_score_adj"),
        ("max virtual memory areas vm.max_map_count [65530] is too low, increase to at least [262144]", "vm.max_map"),
        ("StandardOutput=tty: No such file or directory", "StandardOutput=tty"),
        ("vendor: this must not be run inside a Docker container", "container"),
    ],
)
def test_reports(line: str, name: str) -> None:
    limit = limits.of_output(line)
    assert limit and name in limit.what


@pytest.mark.parametrize(
    "line",
    [
        "cannot open /etc/webfs.conf: Permission denied",
        "open /dev/null: Permission denied",
        "open /dev/shm/web/cache: No such file or directory",
        "could not lock /dev/shm/web: Permission denied",
        "open /dev/tty: No such device or address",
        "/home/dev/tty: No such file or directory",
        "bind: Operation not permitted",
        "chown: invalid user: 'ghost'",
        "audit log is written to /var/log/x",
        "mount point /data is empty",
        "audit-exporter: dial tcp 127.0.0.1:9200: connect: connection refused",
        "open /var/log/audit/x.log: permission denied",
        "warning: /proc/sys/vm/max_map_count: Read-only file system, going on",
        "/proc/sys/vm/max_map_count: Read-only file system\nopen /etc/webfs.conf: No such file or directory",
        "hardware acceleration is not available",
        "the modules of web are missing: /usr/lib/web/modules",
        "open /usr/share/sys/class/x: No such file or directory",
        "example.net.local has to have at least 3 letters",
        "plugins are not supported in this release",
        "now installing /lib/modules/6.1.0/extra/foo.ko: Exec format error",
        "cannot sign /lib/modules/6.1/extra/x.ko: /etc/keys/mok.key: bad passphrase",
        "Cannot find module '/usr/lib/modules/app/index.js'",
        "TypeError: fs.writeFile requires at least 2 arguments",
        "panic: net.Dialer: buffer too small",
        "error: vm.heap is too small",
        "error: key 'foo' is not allowed in container definition",
        "option log_uri not supported in containerd config version 2",
        "plugin is not installed in containers.conf",
        "no device found in /etc/webfs.conf",
        "skipping /dev/kvm: No such file or directory",
        "",
    ],
)
def test_what_is_the_packages_own_doing(line: str) -> None:
    assert limits.of_output(line) is None


@pytest.mark.parametrize(
    ("condition", "is_limit"),
    [
        ("ConditionCapability=CAP_SYS_TIME", True),
        ("ConditionVirtualization=!container", True),
        ("ConditionPathExists=/dev/kvm", True),
        ("ConditionPathIsReadWrite=!/proc/sys", True),
        ("ConditionPathIsReadWrite=/sys", True),
        ("ConditionPathExists=/system", False),
        ("ConditionDirectoryNotEmpty=/sys/class/power_supply", True),
        ("ConditionFileNotEmpty=/proc/mdstat", True),
        ("ConditionPathExists=/etc/webfs.conf", False),
        ("ConditionFileNotEmpty=/etc/x", False),
        ("ConditionUser=root", False),
        ("", False),
    ],
)
def test_conditions(condition: str, is_limit: bool) -> None:
    assert bool(limits.of_condition(condition)) is is_limit


@pytest.mark.parametrize(
    ("line", "hard", "asked", "is_limit"),
    [
        ("max file descriptors [20000] is too low", 20000, 0, True),
        ("max file descriptors [20000] is too low", 20000, 1048576, True),
        ("max file descriptors [1024] is too low", 20000, 1024, False),
        ("max file descriptors [524288] is too low", 524288, 0, False),
        ("max file descriptors [20000] is too low", 0, 0, False),
        ("accept: Too many open files", 20000, 0, False),
        ("write error: Bad file descriptor", 4096, 0, False),
        ("Warning: at least 65536 file descriptors needed", 4096, 0, False),
        ("65536 file descriptors needed\nopen /etc/x: No such file or directory", 4096, 0, False),
        ("no file /etc/x", 20000, 0, False),
    ],
)
def test_open_files(line: str, hard: int, asked: int, is_limit: bool) -> None:
    """That a service leaves files open, or that its unit asks for few of them, is no limit of the machine."""
    found = limits.about_open_files(f"begins\n{line}\nends")
    assert bool(found and limits.of_open_files(found, hard, asked)) is is_limit


def test_a_line_without_end_is_read_within_bounds() -> None:
    assert limits.of_output("/dev/" * 10**6) is None


_SYSCTL = 'sysctl: setting key "vm.max_map_count": Read-only file system'


@pytest.mark.parametrize(
    ("words", "script", "told"),
    [
        ([_SYSCTL], "", "kernel setting vm.max_map_count"),
        ([_SYSCTL, "error: vm.max_map_count must be 262144"], "", "kernel setting vm.max_map_count"),
        (["date: cannot set date: Operation not permitted", "Wed Jan  1 00:00:00 UTC 2020"], "", "clock date"),
        (["Warning: unable to find a suitable fs in /proc/mounts", "Use --subdomainfs to override."], "", "security"),
        (["x.postinst: 3: modprobe: not found"], "modprobe -q dm_mod", "kernel module dm_mod"),
        (["error setting ownership of './srv/x': Invalid argument"], "", "owner beyond"),
        ([_SYSCTL, "no configuration"], "", ""),
        ([_SYSCTL, "no file /etc/vm.max_map_count/x"], "", ""),
        (["date: cannot set date: Operation not permitted", "update failed"], "", ""),
        (["date: cannot set date: Operation not permitted", "no date in /etc/x"], "", ""),
        (["sh: cannot open /dev/tty: No such device or address"], "read x </dev/tty", ""),
        ([], "modprobe x", ""),
    ],
)
def test_last_words(words: list[str], script: str, told: str) -> None:
    limit = limits.of_last_words(words, script)
    assert (limit.what if limit else "").startswith(told) and bool(limit) is bool(told)


@pytest.mark.parametrize(
    ("condition", "hint"),
    [
        (
            "ConditionCapability=CAP_SYS_TIME",
            f"--capability=CAP_SYS_TIME meets it in a container; {limits.FULL_MACHINE}",
        ),
        ("ConditionCapability=CAP_SYS_MODULE", f"--privileged meets it in a container; {limits.FULL_MACHINE}"),
        ("ConditionCapability=!CAP_SYS_TIME", limits.FULL_MACHINE),
    ],
)
def test_what_would_tell_of_a_capability(condition: str, hint: str) -> None:
    limit = limits.of_condition(condition)
    assert limit and limit.hint == hint


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("open /dev/kvm: No such file or directory", "device node /dev/kvm"),
        ("open /dev/kvm: Permission denied", ""),
        ("no hardware RNG device found", "hardware RNG device"),
        ("modprobe: FATAL: Module dm_mod not found", "kernel module dm_mod"),
        ("mount: /mnt: unknown filesystem type 'zfs'", "kernel file system zfs"),
        ("sched_setscheduler: Operation not permitted", ""),
        ("cannot create /proc/sys/vm/max_map_count: Permission denied", ""),
        ("adjtimex: Operation not permitted", ""),
        ("chown: changing ownership of '/x': Invalid argument", ""),
    ],
)
def test_what_a_full_machine_may_lack(line: str, told: str) -> None:
    """Hardware, and parts of a kernel; what is refused to its root is refused everywhere."""
    for limit in (limits.of_output(line, own_kernel=True), limits.of_last_words([line], own_kernel=True)):
        assert (limit.what if limit else "").startswith(told) and bool(limit) is bool(told)
        assert not limit or limits.FULL_MACHINE not in limit.hint


def test_settings_that_a_full_machine_refuses() -> None:
    words = "Failed at step SETSCHEDULER spawning /usr/bin/x: Operation not permitted"
    assert limits.of_exit_status(214, words)
    assert not limits.of_exit_status(214, words, own_kernel=True)
    found = limits.of_exit_status(231, words, own_kernel=True)
    assert found and limits.FULL_MACHINE not in found.hint
    for limit in (
        limits.of_condition("ConditionACPower=yes", own_kernel=True),
        limits.of_device("a.device", own_kernel=True),
    ):
        assert limit and limits.FULL_MACHINE not in limit.hint
