"""What killed processes have left of VMs, with a virsh that only notes what it is asked; see also tests/integration."""

import os
import shlex
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest

from postroj import process
from postroj.deadline import NEVER
from postroj.errors import HostError, ToolError
from postroj.settings import vms_dir
from postroj.vm import boxes, domains, records, sweeping, warm
from postroj.vm.box import LIBVIRT, Box

_VIRSH = """#!/bin/sh
shift
cd {directory} || exit
echo "$*" >>log
case "$*" in
    "list --name") cat active ;;
    "list --all --name") cat all ;;
    destroy*) if [ -e refusal ]; then cat refusal >&2; exit 1; fi; : >active ;;
    undefine*) : >all ;;
esac
"""
_IS_DOWN = """#!/bin/sh
echo "error: Failed to connect socket to '/run/libvirt/libvirt-sock': No such file or directory" >&2
exit 1
"""
_NAME = "debian-bookworm-1"


class Virsh:
    """A libvirt that has domains, of which some run."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.has()

    def has(self, *names: str, active: Sequence[str] = ()) -> None:
        """Have it tell of domains."""
        for file, told in (("all", names), ("active", active)):
            (self.directory / file).write_text("".join(f"{name}\n" for name in told))
        (self.directory / "log").write_text("")

    def asked(self, what: str) -> list[str]:
        """Return what of a kind it was asked for."""
        return [line for line in (self.directory / "log").read_text().splitlines() if line.split()[0] == what]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Have a program in PATH before those of the host, by its name and its text."""
    path = tmp_path / "programs"
    path.mkdir()
    monkeypatch.setenv("PATH", f"{path}:{os.environ['PATH']}")

    def add(name: str, text: str) -> None:
        (path / name).write_text(text)
        (path / name).chmod(0o755)

    return add


@pytest.fixture
def virsh(tmp_path: Path, programs: Callable[[str, str], None]) -> Virsh:
    (tmp_path / "virsh").mkdir()
    programs("virsh", _VIRSH.format(directory=shlex.quote(str(tmp_path / "virsh"))))
    return Virsh(tmp_path / "virsh")


def _make(name: str = _NAME, provider: str = LIBVIRT, *, ready: bool = True) -> Path:
    """Make a VM's directory, and that of its box."""
    path, box = Path(records.path_of(name)), Box("image", "a/b", provider)
    path.mkdir(parents=True)
    records.write_box(str(path), box)
    if ready:
        records.write_ready(str(path), records.Ready(box.identity, "192.0.2.1", 22))
    _make_box(whole=True)
    return path


def _make_box(*, whole: bool) -> Path:
    home = Path(boxes.directory("a/b"))
    home.mkdir(parents=True, exist_ok=True)
    if whole:
        (home.parent.parent / "whole-libvirt@").touch()
    return home.parent.parent


def test_a_vm_that_runs_for_nobody_is_powered_off_and_kept(virsh: Virsh) -> None:
    path, domain = _make(), domains.domain_of(_NAME)
    virsh.has(domain, "others_default", active=[domain, "others_default"])
    assert sweeping.sweep() == [f"the running VM {_NAME}: it is off"]
    assert virsh.asked("destroy") == [f"destroy -- {domain}"] and path.exists()
    assert sweeping.sweep() == []


def test_a_vm_that_is_off_already_is_powered_off(virsh: Virsh) -> None:
    """It may have ended by itself, or was removed, since libvirt was asked."""
    domain = domains.domain_of(_NAME)
    for said in ("error: Domain not found: no domain with matching name", "error: domain is not running"):
        virsh.has(domain, active=[domain])
        (virsh.directory / "refusal").write_text(said)
        domains.power_off(_NAME)
        assert virsh.asked("destroy")
    (virsh.directory / "refusal").write_text("error: access denied")
    with pytest.raises(ToolError):
        domains.power_off(_NAME)


def test_what_is_not_whole_is_removed(virsh: Virsh) -> None:
    domain = domains.domain_of(_NAME)
    path = _make(ready=False)
    virsh.has(domain)
    assert sweeping.sweep() == [f"what was left of the VM {_NAME}", "the copy of the box a-VAGRANTSLASH-b"]
    assert not path.exists() and len(virsh.asked("undefine")) == 1
    # a domain of which nothing else is known, and a box that is half made, though a VM is of it
    virsh.has(domain)
    assert sweeping.sweep(with_libvirt=True) == [f"what was left of the VM {_NAME}"]
    assert len(virsh.asked("undefine")) == 1
    box = _make_box(whole=False)
    assert boxes.sweep(lambda: ["a/b"]) == ["a-VAGRANTSLASH-b"] and not box.exists()


@pytest.mark.parametrize("name", ["..", ".", ".pool", "a/../..", "-x", ""])
def test_a_name_that_no_vm_can_have(virsh: Virsh, name: str) -> None:
    """Whoever may use libvirt can call a domain so: it is none of ours, and no path is made of it."""
    path = _make()
    precious = path.parent.parent / "precious"
    precious.touch()
    domain = f"{domains.prefix()}{name}_default"
    virsh.has(domains.domain_of(_NAME), domain, active=[domain])
    pool = Path(domains.pool_directory())
    pool.mkdir()
    (pool / f"{domains.prefix()}{name.rpartition('/')[2]}_default.img").touch()
    assert sweeping.sweep() == []
    assert precious.exists() and path.exists() and not virsh.asked("destroy")
    assert domains.disks() == set() and set(domains.states()) == {_NAME}


@pytest.mark.parametrize("fails", [False, True])
def test_snapshots_of_a_run_end_with_it(virsh: Virsh, monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
    """Each has the memory of the VM; the one that it is restored to stays."""
    domain = domains.domain_of("image-1")
    _make("image-1")
    virsh.has(domain)
    box = Box("image", "a/b", LIBVIRT)
    monkeypatch.setattr(process, "follow", lambda argv, **_: None)
    monkeypatch.setattr(process, "ask_confined", lambda argv, **_: "")
    monkeypatch.setattr(warm, "opened", lambda project, ready, power, *_: nullcontext(power))
    with suppress(RuntimeError), warm.taken(box, deadline=NEVER) as machine:
        for number in (1, 2):
            machine.save(number, deadline=NEVER)  # type: ignore[union-attr]
        if fails:
            raise RuntimeError
    assert virsh.asked("snapshot-delete") == [f"snapshot-delete -- {domain} postroj-{number}" for number in (2, 1)]
    with warm.taken(box, deadline=NEVER):
        pass
    assert len(virsh.asked("snapshot-delete")) == 2


def test_a_pool_with_disks_of_nobody(virsh: Virsh) -> None:
    pool = Path(domains.pool_directory())
    pool.mkdir(parents=True)
    (pool / "debian-x_vagrant_box_image_0.img").touch()
    assert sweeping.sweep() == [] and not pool.exists()
    path = _make()
    pool.mkdir()
    (pool / "of_somebody.img").touch()
    virsh.has(domains.domain_of(_NAME))
    assert sweeping.sweep() == [] and pool.exists() and path.exists()


def test_libvirt_is_needed_by_its_own_vms_alone(programs: Callable[[str, str], None]) -> None:
    """A host may have virsh installed, and no libvirtd running."""
    programs("virsh", _IS_DOWN)
    for name in warm.TOOLS:
        programs(name, "#!/bin/sh\n")
    path = _make("windows-11-1", "virtualbox")
    half = _make("windows-11-2", "virtualbox", ready=False)
    empty = Path(vms_dir(), "windows-11-3")
    empty.mkdir()
    warm.check_host("virtualbox")
    assert path.exists() and not half.exists() and not empty.exists()
    with pytest.raises(HostError, match="libvirt does not run"):
        warm.check_host(LIBVIRT)
    _make()
    with pytest.raises(HostError, match="libvirt does not run"):
        sweeping.sweep()
