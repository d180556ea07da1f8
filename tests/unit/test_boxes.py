"""Images of virtual machines: the curated boxes, references to others, files of the host, and providers."""

import datetime
import gzip
import io
import json
import lzma
import re
import tarfile
from pathlib import Path

import pytest

from postroj import image as images
from postroj import tar
from postroj.errors import HostError, PostrojError, UsageError
from postroj.image import boxes, boxfile, catalogue, source
from postroj.vm import providers

IDS = [entry.name for entry in boxes.entries()]
PROMISED = {
    "windows-2019", "windows-2022", "windows-2025", "windows-10", "windows-11", "freebsd-14", "openbsd-7",
    "debian-bookworm", "debian-trixie", "ubuntu-jammy", "ubuntu-noble", "fedora-43", "almalinux-9", "almalinux-10",
}  # fmt: skip


@pytest.mark.parametrize("entry", boxes.entries(), ids=IDS)
def test_an_entry_is_well_formed(entry: boxes.Entry) -> None:
    is_container = any(one.name == entry.name for one in catalogue.entries())
    assert bool(entry.alias) != is_container, "a container's entry has the alias"
    assert entry.eol is None or (datetime.date(2025, 1, 1) < entry.eol < datetime.date(2040, 1, 1) and not is_container)
    assert entry.guest == entry.name.split("-")[0] or (entry.guest == "linux" and is_container)
    assert entry.communicator in ("ssh", "winssh", "winrm") and entry.architectures == ("amd64",)
    assert (entry.communicator == "ssh") == (entry.guest != "windows")
    assert 512 <= entry.memory <= 8192 and 1 <= entry.cores <= 4
    assert entry.boxes and set(entry.providers) <= set(providers.NAMES)
    for box in entry.boxes:
        assert boxes.parse(f"vagrant:{box.name}") == boxes.Reference(name=box.name)
        assert box.providers and len(set(box.providers)) == len(box.providers)


def test_the_images_that_are_promised_are_there_and_their_names_are_unique() -> None:
    assert set(IDS) == PROMISED
    words = [word for entry in boxes.entries() for word in (entry.name, entry.alias) if word]
    words += [entry.alias for entry in catalogue.entries() if entry.name not in IDS]
    assert len(set(words)) == len(words)
    assert boxes.find("windows-server-2022") == boxes.find("windows-2022") != boxes.find("windows-2025")
    assert boxes.find("") is boxes.find("windows") is None


@pytest.mark.parametrize(
    "name", ["windows-2022", "windows-server-2022", "freebsd-14", "vagrant:generic/openbsd7", "vagrant:A/b@1.2"]
)
def test_only_containers_are_possible_where_a_root_file_system_is_needed(name: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"{name} is an image of a virtual machine, and this is for images")):
        images.resolve(name)


def test_an_image_of_both_kinds_is_a_container_there() -> None:
    assert images.resolve("debian-bookworm").sources[0].kind == source.BOOTSTRAP


def test_a_mistyped_name_is_told() -> None:
    with pytest.raises(UsageError, match="there is no version '2016' of windows") as caught:
        images.resolve("windows-2016")
    assert caught.value.hint == "there is windows-2019, windows-2022, windows-2025, windows-10, windows-11"
    with pytest.raises(UsageError, match="there is no image 'windws-2022'") as caught:
        images.resolve("windws-2022")
    assert "windows-2022" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "name", "version"),
    [
        ("vagrant:generic/debian12", "generic/debian12", ""),
        ("vagrant:generic/debian12@4.3.12", "generic/debian12", "4.3.12"),
        ("vagrant:Some.One/a_B-c@20260926.0.0", "Some.One/a_B-c", "20260926.0.0"),
    ],
)
def test_a_box_of_a_registry(text: str, name: str, version: str) -> None:
    assert boxes.parse(text) == boxes.Reference(name=name, version=version)


@pytest.mark.parametrize(
    "text",
    ["vagrant:", "vagrant:x", "vagrant:/x", "vagrant:a/b/c", "vagrant:-a/b", "vagrant:a/b@", "vagrant:a/b@>1",
     "vagrant:a/b ", "vagrant:a/b\n", "vagrant:a/b@1@2", "vagrant:a/" + "b" * 200,
     "vagrant:https://x/y", "vagrant:a/b;c"],
)  # fmt: skip
def test_what_is_no_box_of_a_registry(text: str) -> None:
    with pytest.raises(UsageError, match="is not a box of Vagrant"):
        boxes.parse(text)
    with pytest.raises(UsageError, match="is not a box of Vagrant"):
        images.resolve(text)


def test_boxes_of_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("project", "tree/etc"):
        Path(name).mkdir(parents=True)
    for name in ("project", "tree"):
        Path(name, "Vagrantfile").touch()
    assert (
        boxes.parse("./project")
        == boxes.parse(f"{tmp_path}/project/")
        == boxes.Reference(directory=f"{tmp_path}/project")
    )
    assert boxes.parse("./x.box") == boxes.Reference(file=f"{tmp_path}/x.box")
    assert boxes.parse("x.box") is boxes.parse("./tree") is boxes.parse("./no") is boxes.parse(".") is None
    assert source.parse("./tree").kind == source.DIRECTORY, "a root file system with a Vagrantfile is one still"
    for text in ("./project", "./x.box"):
        with pytest.raises(UsageError, match="is an image of a virtual machine"):
            source.parse(text)


def _box(
    path: Path,
    metadata: bytes | None,
    *,
    compress: object = gzip.compress,
    before: int = 100,
    name: str = "metadata.json",
) -> str:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for file, data in (("./Vagrantfile", bytes(before)), (name, metadata)):
            if data is not None:
                member = tarfile.TarInfo(file)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    data = compress(stream.getvalue()) if callable(compress) else stream.getvalue()
    (path / "x.box").write_bytes(data)
    return str(path / "x.box")


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress, None])
@pytest.mark.parametrize("name", ["metadata.json", "./metadata.json"])
def test_a_box_that_is_a_file(tmp_path: Path, compress: object, name: str) -> None:
    metadata = json.dumps({"provider": "libvirt", "format": "qcow2", "virtual_size": 20}).encode()
    path = _box(tmp_path, metadata, compress=compress, name=name)
    assert boxfile.read(path) == boxfile.BoxFile(path, "libvirt", "")
    path = _box(tmp_path, b'{"provider": "vmware_desktop", "architecture": "arm64"}')
    assert boxfile.read(path) == boxfile.BoxFile(path, "vmware_desktop", "arm64")


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        (None, "it has no metadata.json"), (b"", ""), (b"{", ""), (b"[]", "is not an object"), (b"\xff", ""),
        (b"{}", "names no provider"), (b'{"provider": 1}', "names no provider"),
        (b'{"provider": ""}', "names no provider"),
        (b'{"provider": "a b"}', "names no provider"), (b'{"provider": "x", "architecture": []}', "no architecture"),
        (b'{"provider": "' + b"x" * 99 + b'"}', "names no provider"), (b"[" * 100_000, ""),
        (b" " * 300_000 + b'{"provider": "x"}', "has 300017 bytes"),
    ],
)  # fmt: skip
def test_what_is_no_box(tmp_path: Path, metadata: bytes | None, why: str) -> None:
    with pytest.raises(UsageError, match=r"x\.box is not a box of Vagrant") as caught:
        boxfile.read(_box(tmp_path, metadata))
    assert why in caught.value.why


def test_a_box_that_is_cut_off_or_missing(tmp_path: Path) -> None:
    path = Path(_box(tmp_path, b'{"provider": "x"}', before=100_000))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UsageError, match="is not a box of Vagrant"):
        boxfile.read(str(path))
    with pytest.raises(UsageError, match="cannot be read: No such file or directory"):
        boxfile.read(f"{tmp_path}/no.box")


def test_a_disk_before_the_metadata_may_be_large() -> None:
    """Packer writes it first; GNU tar has other sizes from 8 GiB on."""
    for size in (9 << 30, 7):
        header = tarfile.TarInfo("box.img")
        header.size = size
        assert tar._size(header.tobuf(tarfile.GNU_FORMAT)[124:136]) == size
    for field in (b"\xff" * 12, b"8".rjust(11) + b"\0", b"-1".rjust(11) + b"\0"):  # negative, and no octal number
        assert tar._size(field) is None


def test_metadata_is_looked_for_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _box(tmp_path, b'{"provider": "x"}', before=100_000)
    assert boxfile.read(path).provider == "x"
    monkeypatch.setattr(boxfile, "_MOST_BYTES", 50_000)
    with pytest.raises(UsageError, match="is not a box of Vagrant"):
        boxfile.read(path)


def _there(platform: str, *programs: str) -> list[str]:
    return [one.name for one in providers.available(platform, lambda name: name if name in programs else None)]


def test_the_providers_of_a_host_are_in_the_documented_order() -> None:
    everything = [name for one in providers.PROVIDERS for name in one.programs]
    assert _there("linux", *everything) == ["libvirt", "virtualbox", "vmware_desktop", "qemu"]
    assert _there("darwin", *everything) == ["virtualbox", "vmware_desktop", "parallels", "qemu"]
    assert _there("win32", *everything) == ["virtualbox", "vmware_desktop", "hyperv"]
    assert _there("linux") == _there("freebsd14", *everything) == []
    assert _there("linux", "VBoxManage") == ["virtualbox"]


def test_the_provider_for_a_box() -> None:
    there = providers.available("linux", lambda name: name if name in ("virsh", "VBoxManage") else None)
    assert providers.choose("x", ["virtualbox", "libvirt"], there).name == "libvirt"
    assert providers.choose("x", ["virtualbox", "hyperv"], there).name == "virtualbox"
    assert providers.choose("x", ["virtualbox", "libvirt"], there, "virtualbox").name == "virtualbox"


@pytest.mark.parametrize(
    ("offered", "asked", "error", "what", "hint"),
    [
        (["libvirt"], "xen", UsageError, "there is no provider 'xen'", "libvirt, virtualbox"),
        (["libvirt"], "hyperv", UsageError, "it is not there for the provider hyperv", "it is there for libvirt"),
        (["hyperv"], "hyperv", HostError, "Hyper-V, the provider hyperv, is not on this host", ""),
        (["hyperv", "parallels"], "", HostError, "it needs one of these providers, and this host has none of them",
         "this host has libvirt"),
    ],
)  # fmt: skip
def test_a_provider_that_cannot_be_had(
    offered: list[str], asked: str, error: type[PostrojError], what: str, hint: str
) -> None:
    there = providers.available("linux", lambda name: name if name == "virsh" else None)
    with pytest.raises(error, match=what) as caught:
        providers.choose("it", offered, there, asked)
    assert hint in caught.value.hint
    with pytest.raises(HostError) as nothing:
        providers.choose("it", ["libvirt"], [])
    assert "apt install vagrant-libvirt" in nothing.value.hint
