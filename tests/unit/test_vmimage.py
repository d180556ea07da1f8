"""From what a user calls an image of a virtual machine to the box that it is made of."""

import io
import json
import os
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from postroj import image as images
from postroj.deadline import NEVER
from postroj.errors import HostError, ImageError, PostrojError, UsageError
from postroj.image import vmimage
from postroj.image.vmimage import VmImage
from postroj.vm import providers, warm
from postroj.vm.box import Box

from . import plans


def _host(monkeypatch: pytest.MonkeyPatch, *names: str, architecture: str = "amd64") -> None:
    """Have a host with some providers."""
    there = [one for one in providers.PROVIDERS if one.name in names]
    monkeypatch.setattr(providers, "available", lambda: there)
    monkeypatch.setattr(vmimage, "host_architecture", lambda: architecture)


def _box(path: Path, provider: str = "libvirt", architecture: str = "") -> Path:
    metadata = json.dumps({"provider": provider, "architecture": architecture}).encode()
    with tarfile.open(path, mode="w") as archive:
        member = tarfile.TarInfo("metadata.json")
        member.size = len(metadata)
        archive.addfile(member, io.BytesIO(metadata))
    return path


def _found(text: str | Path, *, vm: bool = False, provider: str = "") -> VmImage:
    found = images.find_vm(str(text), vm=vm, provider=provider)
    assert found
    return found


@pytest.mark.parametrize(
    ("there", "asked", "provider", "name"),
    [
        (["libvirt", "virtualbox"], "", "libvirt", "peru/windows-server-2022-standard-x64-eval"),
        (["libvirt", "virtualbox"], "virtualbox", "virtualbox", "gusztavvargadr/windows-server-2022-standard"),
        (["virtualbox", "hyperv"], "", "virtualbox", "gusztavvargadr/windows-server-2022-standard"),
        (["hyperv", "qemu"], "", "hyperv", "gusztavvargadr/windows-server-2022-standard"),
    ],
)
def test_an_entry_of_the_catalogue(
    there: list[str], asked: str, provider: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _host(monkeypatch, *there)
    found = _found("windows-server-2022", provider=asked)
    assert found.box and (found.name, found.family) == ("windows-2022", "windows")
    assert (found.box.image, found.box.name, found.box.provider) == ("windows-2022", name, provider)
    assert (found.box.guest, found.box.communicator, found.box.memory) == ("windows", "winrm", 4096)


def test_names_of_containers_are_virtual_machines_if_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    _host(monkeypatch, "libvirt", "virtualbox")
    assert images.find_vm("debian-bookworm") is images.find_vm("fedora:43") is images.find_vm("nothing") is None
    assert _found("debian-12", vm=True) == VmImage("debian-bookworm", None, "apt")
    boxed = _found("debian-bookworm", provider="virtualbox")
    assert boxed.box and (boxed.box.name, boxed.family) == ("debian/bookworm64", "apt")
    ubuntu = _found("ubuntu-noble", vm=True)
    assert ubuntu.box and ubuntu.box.name == "cloud-image/ubuntu-24.04"
    _host(monkeypatch, "parallels")
    assert _found("debian-bookworm", vm=True).box == boxed.box._replace(name="bento/debian-12", provider="parallels")


def test_a_box_of_a_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    _host(monkeypatch, "virtualbox")
    found = _found("vagrant:Some/Thing@1.2")
    assert found.box and (found.box.name, found.box.version, found.box.provider) == ("Some/Thing", "1.2", "virtualbox")
    assert found.name.startswith("some-thing-") and found.box.guest == found.family == ""
    assert found.name != _found("vagrant:Some/Thing").name
    assert _found("vagrant:a/b", provider="virtualbox").box


def test_a_box_that_is_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _host(monkeypatch, "libvirt", "virtualbox", architecture="arm64")
    path = _box(tmp_path / "My Box.box", "virtualbox", "aarch64")
    first = _found(path)
    assert first.box and (first.box.file, first.box.provider) == (str(path), "virtualbox")
    assert first.name.startswith("my-box-") and first.box.name.startswith(f"{first.name}-")
    os.utime(path, (1, 1))
    second = _found(path)
    assert second.name == first.name, "it is the same image"
    assert second.box and second.box.name != first.box.name and second.box.identity != first.box.identity


def test_a_directory_with_a_vagrantfile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _host(monkeypatch, "libvirt")
    (tmp_path / "Vagrantfile").write_text("x")
    first = _found(tmp_path)
    assert first.box and (first.box.directory, first.box.name) == (str(tmp_path), "")
    (tmp_path / ".vagrant").mkdir()
    assert _found(tmp_path) == first, "what Vagrant keeps there for the user does not count"
    (tmp_path / "setup.sh").write_text("x")
    assert _found(tmp_path).box != first.box


@pytest.mark.parametrize(
    ("there", "architecture", "text", "asked", "error", "what"),
    [
        (["libvirt"], "arm64", "windows-2022", "", HostError, "windows-2022 is for amd64, and this host is arm64"),
        (["parallels"], "amd64", "windows-2022", "", HostError, "needs one of these providers, and this host has none"),
        ([], "amd64", "debian-bookworm", "", HostError, "needs one of these providers, and this host has none"),
        ([], "amd64", "vagrant:a/b", "", HostError, "vagrant:a/b needs one of these providers"),
        (["libvirt"], "amd64", "freebsd-14", "hyperv", UsageError, "is not there for the provider hyperv"),
        (["libvirt"], "amd64", "opensuse-tumbleweed", "", UsageError, "there is no box of opensuse-tumbleweed"),
        (["libvirt"], "amd64", "nothing", "", UsageError, "there is no image 'nothing'"),
        (["libvirt"], "amd64", "./absent.box", "", UsageError, r"absent\.box cannot be read: No such file"),
        (["libvirt"], "amd64", "./a.fifo.box", "", UsageError, r"a\.fifo\.box is not a file"),
        (["libvirt"], "amd64", "./vb.box", "", HostError, r"vb\.box needs one of these providers.*: virtualbox"),
        (["libvirt"], "amd64", "./xen.box", "", UsageError, r"xen\.box is a box for xen, which is not a provider"),
        (["libvirt"], "amd64", "./arm.box", "", HostError, r"arm\.box is for arm64, and this host is amd64"),
        (["libvirt"], "amd64", "./no.box", "", UsageError, r"no\.box is not a box of Vagrant"),
    ],
)  # fmt: skip
def test_what_cannot_be_had(
    there: Sequence[str], architecture: str, text: str, asked: str, error: type[PostrojError], what: str,
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    _host(monkeypatch, *there, architecture=architecture)
    for name, provider, of in (("vb", "virtualbox", ""), ("xen", "xen", ""), ("arm", "libvirt", "arm64")):
        _box(tmp_path / f"{name}.box", provider, of)
    (tmp_path / "no.box").write_text("text")
    os.mkfifo(tmp_path / "a.fifo.box")
    with pytest.raises(error, match=what):
        images.find_vm(text, vm=True, provider=asked)


def test_a_box_that_would_have_to_be_made_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "check_host", lambda provider: None)
    image = VmImage("debian-bookworm", None)
    with pytest.raises(ImageError, match="the box of debian-bookworm is not here, and to make it takes downloads"):
        image.made(NEVER, offline=True)
    downloaded = VmImage("x", Box("x", "a/b", "libvirt"))
    assert downloaded.made(NEVER, offline=True) == downloaded.box, "it may be here: its VM tells"


def test_plans_have_cells_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever providers this host has: it may only list the cells."""
    _host(monkeypatch)
    monkeypatch.chdir(tmp_path)
    shutil.copy(Path(__file__).parent / "data" / "case.msi", tmp_path)
    plan = plans.cells('images = ["windows-server-2022", "vagrant:a/b@1"]\npackages = ["./case.msi"]\n')
    first, second = plans.names(plan)
    assert first.startswith("windows-2022:") and second.startswith("a-b-")
    with pytest.raises(UsageError, match=r"the image freebsd-14 installs none of the packages \(msi\)"):
        plans.names(plans.cells('images = ["freebsd-14"]\npackages = ["./case.msi"]\n'))
