"""VMs of boxes that somebody else has made: a file, one of a catalogue, and that of a Vagrantfile of the user's."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import debs
from boxserver import BoxServer, serving_boxes
from support import STATE
from vm_host import VmHost, long, missing
from vms import Ended, Vms

pytestmark = [pytest.mark.vm, long, pytest.mark.skipif(bool(missing()), reason=missing())]

_VAGRANTFILE = """Vagrant.configure("2") do |config|
  config.vm.box = "test/debian"
  config.vm.hostname = "mine"
  config.vm.define "web"
  config.vm.provision "shell", path: "setup.sh"
end
"""


class Place(NamedTuple):
    """Where boxes come from, and postroj with VMs."""

    file: Path
    """A box of Debian."""
    server: BoxServer
    directory: Path
    vms: Vms

    def run(self, *words: str | Path) -> Ended:
        """Run postroj to its end."""
        return self.vms.postroj(*map(str, words))

    def is_empty(self) -> bool:
        """Return whether there is no VM of a box of these tests."""
        return not [name for name in self.vms.listed() if not name.startswith("debian-bookworm")]

    def clear(self) -> None:
        """Remove the VMs of these tests."""
        for name in self.vms.listed():
            if not name.startswith("debian-bookworm"):
                assert self.run("vm", "rm", name).status == 0


@pytest.fixture
def place(vm_host: VmHost, bookworm: str, tmp_path: Path) -> Iterator[Place]:
    vms = Vms(vm_host)
    with serving_boxes() as server:
        vms.env = {**vms.env, "VAGRANT_SERVER_URL": server.url}
        place = Place(_box(vms, bookworm), server, tmp_path, vms)
        yield place
        place.clear()


def _box(vms: Vms, image: str) -> Path:
    """Return the box that `--vm` makes of an image, by a name of its own: a file like any other."""
    file = vms.host.directory / "mine.box"
    if not file.exists():
        boxes = Path(STATE, "images/.boxes")
        if not list(boxes.glob(f"{image}.*/record")):
            assert vms.postroj("run", "--vm", image, "true").status == 0
        (found,) = boxes.glob(f"{image}.*/libvirt.box")
        os.link(found, file)
    return file


def test_a_box_that_is_a_file(place: Place) -> None:
    status, out, err = place.run("run", place.file, "--", "sh", "-c", "uname; exit 3")
    assert (status, out) == (3, "Linux\n"), err
    assert "booting the VM for the first time" in err
    assert [name for name in place.vms.listed() if name.startswith("mine-")]


def test_a_box_of_a_catalogue_and_a_directory_with_a_vagrantfile(place: Place) -> None:
    place.server.offer("test/debian", "1.2.0", place.file)
    package = debs.build(place.directory, "case", service="exec sleep infinity")
    words = ("pkgprobe", "--image=vagrant:test/debian@1.2.0", f"--package={package}", "--check-unit=case")
    status, out, err = place.run(*words)
    assert status == 0, out + err

    project = place.directory / "project"
    project.mkdir()
    (project / "Vagrantfile").write_text(_VAGRANTFILE)
    (project / "setup.sh").write_text("echo provisioned >/etc/mark\n")
    status, out, err = place.run("run", project, "--", "sh", "-c", "cat /etc/mark; hostname")
    assert (status, out) == (0, "provisioned\nmine\n"), err
    assert sorted(os.listdir(project)) == ["Vagrantfile", "setup.sh"], "nothing is written into it"


@pytest.mark.parametrize(
    ("box", "told"),
    [
        ("vagrant:test/missing", "there is no box test/missing"),
        ("vagrant:test/other", "test/other is not there for the provider libvirt"),
        ("vagrant:test/debian@9.9", "test/debian is not there in the version 9.9"),
        ("vagrant:test/broken", "test/broken is not a box of Vagrant"),
        ("vagrant:test/malformed", "test/malformed is not a box of Vagrant"),
    ],
)
def test_a_box_that_cannot_be_had(box: str, told: str, place: Place) -> None:
    broken = place.directory / "broken.box"
    broken.write_bytes(b"no box" * 1000)
    place.server.offer("test/debian", "1.2.0", place.file)
    place.server.offer("test/other", "1.0.0", place.file, "virtualbox")
    place.server.offer("test/broken", "1.0.0", broken)
    place.server.raw["test/malformed"] = b"{"
    status, out, err = place.run("run", box, "true")
    assert (status, out) == (125, "")
    assert f"postroj: {told}" in err.splitlines()
    assert place.is_empty()


def test_debians_vagrant_cannot_speak_to_windows(place: Place) -> None:
    """That is told before a box of several gigabytes is fetched."""
    status, _, err = place.run("run", "windows-2022", "--", "cmd", "/C", "ver")
    box = "peru/windows-server-2022-standard-x64-eval"
    told = f"postroj: this Vagrant cannot speak WinRM, as {box} needs: HashiCorp's own can"
    assert status == 125 and told in err.splitlines(), err
    assert place.is_empty()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("  config.vm.bax = 'x'", "vm: * The following settings shouldn't exist: bax"),
        ("  config.vm.box = 'x", "Vagrantfile:3: unterminated string meets end of file"),
        ("  nonsense", "undefined local variable or method `nonsense'"),
        ("", "it names no box: config.vm.box"),
    ],
)
def test_a_vagrantfile_with_a_mistake(text: str, told: str, place: Place) -> None:
    place.directory.joinpath("Vagrantfile").write_text(f'Vagrant.configure("2") do |config|\n{text}\nend\n')
    status, _, err = place.run("run", place.directory, "true")
    assert status == 125
    assert f"postroj: the Vagrantfile in {place.directory} has a mistake: {told}" in err.splitlines()
    assert place.is_empty()


def test_a_vagrantfile_of_two_machines(place: Place) -> None:
    text = 'Vagrant.configure("2") do |c|\n  c.vm.box = "x"\n  c.vm.define "a"\n  c.vm.define "b"\nend\n'
    place.directory.joinpath("Vagrantfile").write_text(text)
    status, _, err = place.run("run", place.directory, "true")
    assert status == 125
    assert "has 2 machines (a, b), and postroj takes one of one machine" in err
    assert place.is_empty()
