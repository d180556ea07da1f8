"""What is judged in a VM is what is judged in a container: the same tests, run against both.

Each test here is one of test_services.py or test_lifecycle.py, called as it is there. Two of them by default, as each
takes a minute where VMs are emulated; POSTROJ_TEST_VM=all has all of them run, and packages of Debian that are large.
"""

import os
from pathlib import Path
from typing import Any

import pytest

import debs
import test_lifecycle
import test_services
from support import Run
from vm_host import VmHost, long, missing

pytestmark = [pytest.mark.vm, long, pytest.mark.skipif(bool(missing()), reason=missing())]

_ALL = os.environ.get("POSTROJ_TEST_VM") == "all"
_SECONDS = 1800

_SERVICES = ("user that sysusers.d would make",)
_LIVES = ("leaves files after the purge",)
# What a container cannot tell is judged in a VM: by the tests below.
_OF_SERVICES = [name for name, case in test_services.CASES.items() if case.status != 3] if _ALL else _SERVICES
_OF_LIVES = [name for name, case in test_lifecycle.CASES.items() if "deb" in case.kinds] if _ALL else _LIVES


@pytest.fixture(scope="module")
def in_vm(vm_host: VmHost, postroj: Run) -> Run:
    """Run postroj as `postroj` does, with --vm; the VM of the first run is that of the others."""

    def run(*words: str | Path, env: dict[str, str] | None = None, **more: Any) -> Any:
        given = {**(env or {}), **vm_host.moved}
        return postroj(words[0], "--vm", *words[1:], env=given, **{"timeout": _SECONDS, **more})

    return run


@pytest.mark.parametrize("name", _OF_SERVICES)
def test_service(name: str, in_vm: Run, bookworm: str, tmp_path: Path) -> None:
    test_services.test_service(in_vm, bookworm, tmp_path, name)


@pytest.mark.parametrize("name", _OF_LIVES)
def test_life(name: str, in_vm: Run, bookworm: str, tmp_path: Path) -> None:
    test_lifecycle.test_a_fault(name, "deb", in_vm, {"deb": {}}, tmp_path)


@pytest.mark.skipif(not _ALL, reason="takes minutes: POSTROJ_TEST_VM=all")
def test_whole_life(in_vm: Run, bookworm: str, tmp_path: Path) -> None:
    test_lifecycle.test_a_whole_life("deb", in_vm, {"deb": {}}, tmp_path)


# --- what only a VM can tell ---

_RUNS = "exec sleep infinity"
# Each line is a limit of docs/limits.md: a container refuses it, and the kernel of a VM does it.
_ASKS_A_KERNEL = f"""
set -eu
echo 262144 >/proc/sys/vm/max_map_count
date --set="$(date +%Y-%m-%d\\ %H:%M:%S)" >/dev/null
head --bytes=512 /dev/vda >/dev/null
{_RUNS}
"""
_NEEDS = {
    "realtime": {
        "unit": {
            "CPUSchedulingPolicy": "rr", "CPUSchedulingPriority": "50", "IOSchedulingClass": "realtime",
            "LimitMEMLOCK": "infinity",
        },
        "service": _ASKS_A_KERNEL,
    },
}  # fmt: skip


def _hint(output: str) -> str:
    """Return the command that the report of a container says would tell."""
    (line,) = (line for line in output.splitlines() if "a full machine can tell: " in line)
    return line.partition("a full machine can tell: ")[2]


def test_a_service_that_needs_a_kernel_of_its_own(postroj: Run, in_vm: Run, bookworm: str, tmp_path: Path) -> None:
    """The container names the command that tells, and it does."""
    package = debs.build(tmp_path, "realtime", **_NEEDS["realtime"])  # type: ignore[arg-type]
    words = ("pkgprobe", f"--image={bookworm}", f"--package={package}", "--check-unit=realtime", "--stay-active=1")
    done = postroj(*words)
    assert done.returncode == 3, done.stdout
    assert done.stdout.startswith(f"NO VERDICT {bookworm}: unit realtime.service: this machine cannot tell: CPUSched")
    command = _hint(done.stdout)
    assert command == f"postroj pkgprobe --vm {' '.join(words[1:])}"
    told = in_vm(*(word for word in command.split()[1:] if word != "--vm"))
    assert told.returncode == 0, told.stdout + told.stderr


# What is refused in a VM as well is the package's fault.
_REFUSED = "setpriv --bounding-set=-sys_nice chrt --rr 10 true || exit 1; exec sleep infinity"


def test_what_a_vm_refuses_is_the_packages_fault(in_vm: Run, bookworm: str, tmp_path: Path) -> None:
    package = debs.build(tmp_path, "refused", service=_REFUSED)
    done = in_vm("pkgprobe", f"--image={bookworm}", f"--package={package}", "--check-unit=refused")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Operation not permitted" in done.stdout.splitlines()[0]


_REAL = [("chrony", "chrony"), ("auditd", "auditd"), ("nfs-kernel-server", "nfs-server")]


@pytest.mark.parametrize(("package", "unit"), _REAL)
def test_packages_that_need_a_kernel_of_their_own(
    package: str, unit: str, postroj: Run, in_vm: Run, bookworm: str
) -> None:
    words = ("pkgprobe", f"--image={bookworm}", f"--package={package}", f"--check-unit={unit}")
    done = postroj(*words)
    assert done.returncode == 3, done.stdout
    assert _hint(done.stdout) == f"postroj pkgprobe --vm {' '.join(words[1:])}"
    if _ALL:
        done = in_vm(*words)
        assert done.returncode == 0, done.stdout + done.stderr


def test_an_address_that_does_not_answer(in_vm: Run, bookworm: str, tmp_path: Path) -> None:
    package = debs.build(tmp_path, "case", service=_RUNS)
    words = ("--check-unit=case", "--check-network=http://localhost:8081", "--network-timeout=5")
    done = in_vm("pkgprobe", f"--image={bookworm}", f"--package={package}", *words)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "8081" in done.stdout.splitlines()[0]
