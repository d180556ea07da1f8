"""What a guest with users of its own can have without harm to the host is there, on every kind of host."""

from pathlib import Path

import pytest

import debs
from support import Run

_TUN = """exec perl -e '
    open(my $tun, "+<", "/dev/net/tun") or die "/dev/net/tun: $!";
    my $request = pack("a16 s x22", "tun7", 1);
    ioctl($tun, 0x400454ca, $request) or die "TUNSETIFF: $!";
    -e "/sys/class/net/tun7" or die "there is no tun7";
    sleep;
'"""
_FUSE = """
exec 3<>/dev/fuse
mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 none /mnt
grep -q ' /mnt fuse ' /proc/mounts
exec sleep infinity
"""
_LOCK = """exec perl -e '
    my ($memory, $machine) = ("x" x (6 << 20), `uname -m`);
    syscall($machine =~ /x86_64/ ? 149 : 228, $memory, length $memory) == 0 or die "mlock: $!";
    sleep;
'"""


@pytest.mark.parametrize("service", [_TUN, f"set -e{_FUSE}", _LOCK], ids=["tun", "fuse", "mlock"])
def test_a_service_that_needs_it(postroj: Run, bookworm: str, tmp_path: Path, service: str) -> None:
    package = debs.build(tmp_path, "needy", service=service, unit={"User": "root"})
    done = postroj("pkgprobe", "--image", bookworm, "--package", package, "--check-unit=needy")
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_a_boot(postroj: Run, bookworm: str) -> None:
    done = postroj("run", "--no-boot", bookworm, "sh", "-c", "exec 3<>/dev/fuse 4<>/dev/net/tun && echo open")
    assert done.stdout == "open\n", done.stderr


def test_a_file_in_its_place(postroj: Run, bookworm: str, tmp_path: Path) -> None:
    (tmp_path / "fuse").write_text("mine")
    done = postroj("run", f"--bind-ro={tmp_path}/fuse:/dev/fuse", bookworm, "cat", "/dev/fuse")
    assert done.stdout == "mine", done.stderr


def test_a_capability_by_name(postroj: Run, bookworm: str, tmp_path: Path) -> None:
    """One that systemd asks for is there, said loudly, and the host's clock is not the guest's to set."""
    files = {
        "/lib/systemd/system/clock.service": """[Unit]
ConditionCapability=CAP_SYS_TIME
[Service]
ExecStart=sleep infinity
[Install]
WantedBy=multi-user.target
"""
    }
    package = debs.build(tmp_path, "clock", files=files)
    words = ["pkgprobe", "--image", bookworm, "--package", package, "--check-unit=clock"]
    without = postroj(*words)
    assert without.returncode == 3 and "--capability=CAP_SYS_TIME" in without.stdout, without.stdout
    done = postroj(*words, "--capability=CAP_SYS_TIME")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "has CAP_SYS_TIME in its user namespace" in done.stderr
    done = postroj("run", "--capability=sys_time", bookworm, "date", "--set=2000-01-01")
    assert done.returncode == 1 and "Operation not permitted" in done.stderr


@pytest.mark.once
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("CAP_SYS_TIM", "'CAP_SYS_TIM' is not a capability"),
        ("sys_module", "CAP_SYS_MODULE is for what a machine shares"),
    ],
)
def test_a_capability_that_cannot_be(postroj: Run, bookworm: str, name: str, told: str) -> None:
    done = postroj("pkgprobe", "--image", bookworm, "--check-unit=dbus", f"--capability={name}")
    assert done.returncode == 2 and told in done.stderr, done.stderr
