"""Boxes of others, and Vagrantfiles of the user's: what needs no VM."""

import os
import re
import socket
from functools import partial
from pathlib import Path

import pytest

from postroj import process
from postroj.deadline import NEVER, Deadline
from postroj.errors import DeadlineError, HostError, ImageError, OverdueError, ToolError, UsageError
from postroj.vm import boxes, domains, mistakes, records, sweeping, vagrant, warm
from postroj.vm.box import Box
from postroj.vm.learnt import learn


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POSTROJ_STATE_DIR", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("The box you're attempting to add doesn't support the provider\nyou requested.", "a/b is not there for the p"),
        ("The box you're attempting to add has no available version that", "a/b is not there in the version 1.2"),
        ("The box 'a/b' could not be found or\ncould not be accessed in the remote catalog. If", "there is no box a/b"),
        (
            "The box 'a/b' could not be found or\ncould not be accessed in the remote catalog.\n\nURL: x\n"
            "Error: Could not resolve host: x.example",
            "a/b cannot be downloaded: Could not resolve host: x.example",
        ),
        ("The box failed to unpackage properly. Please verify that the box", "a/b is not a box of Vagrant"),
        (
            "kernel_require.rb>:85:in `require': cannot load such file -- winrm (LoadError)",
            "this Vagrant cannot speak W",
        ),
        (
            "The provider 'parallels' could not be found, but was requested",
            "lacks its plugin for the provider parallels",
        ),
    ],
)
def test_why_a_box_cannot_be_had(said: str, told: str) -> None:
    def fail() -> None:
        raise ToolError("vagrant failed with status 1", why=said)

    with pytest.raises(HostError, match=told):
        mistakes.told(fail, Box("image", "a/b", "virtualbox", version="1.2"), "it", NEVER)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "There was an error loading a Vagrantfile. The file being loaded\nand the error message are shown below. "
            "This is\n\nPath: /x/Vagrantfile\nLine number: 2\nMessage: NameError: undefined local variable",
            "line 2: NameError: undefined local variable",
        ),
        (
            "There are errors in the configuration of this machine. Please fix\nthe following errors and try again:\n\n"
            "vm:\n* A box must be specified.\n\n",
            "vm: * A box must be specified.",
        ),
        (
            "There is a syntax error in the following Vagrantfile. The syntax error\nmessage is reproduced below for "
            "convenience:\n\n/x/Vagrantfile:3: unterminated string\nmore",
            "/x/Vagrantfile:3: unterminated string",
        ),
    ],
)
def test_a_mistake_in_a_vagrantfile_of_the_users(said: str, told: str) -> None:
    def fail() -> None:
        raise ToolError("vagrant failed with status 1", why=said)

    with pytest.raises(UsageError, match=re.escape(f"the Vagrantfile in /home/me/x has a mistake: {told}")):
        mistakes.told(fail, Box("image", "", "libvirt", directory="/home/me/x"), "it", NEVER)


def test_vagrant_that_does_not_end_in_time(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it was asked for; time that has passed is no time, and what only takes long is no deadline."""
    given: list[float] = []

    def overdue(argv: list[str], *, timeout: float, **_: object) -> None:
        given.append(timeout)
        raise OverdueError("vagrant did not end", why="No space left on device")

    monkeypatch.setattr(process, "follow", overdue)
    monkeypatch.setattr(process, "ask_confined", overdue)
    box = Box("image", "a/b", "libvirt")
    with pytest.raises(DeadlineError, match="the box of image was not ready within 0 s") as caught:
        boxes._add(box, Deadline(0))
    assert caught.value.hint == "see --timeout"
    project = vagrant.Project(str(state), box, str(state))
    for ask in (partial(project.ask, ["status"]), partial(project.do, "up")):
        with pytest.raises(DeadlineError, match=f"the VM {state.name} was not ready within 0 s"):
            ask(deadline=Deadline(0))
    assert given == [0, 0, 0]
    with pytest.raises(OverdueError, match="vagrant did not end"):
        project.ask(["status"], deadline=Deadline(1000))


def test_the_directory_of_a_vagrantfile_is_copied_and_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "run", lambda argv, **_: "")
    users, vm = tmp_path / "users", tmp_path / "vm"
    (users / ".vagrant/machines").mkdir(parents=True)
    (users / "Vagrantfile").write_text("theirs")
    (users / "setup.sh").write_text("x")
    (users / ".git").mkdir()
    os.mkfifo(users / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(users / "socket"))
    vm.mkdir()
    project = vagrant.Project(str(vm), Box("image", "", "libvirt", directory=str(users)), str(tmp_path))
    project.create()
    assert not project.is_there, "no VM is made yet"
    assert sorted(os.listdir(users)) == [".git", ".vagrant", "Vagrantfile", "fifo", "setup.sh", "socket"]
    assert sorted(os.listdir(vm / "user")) == ["Vagrantfile", "postroj.Vagrantfile", "setup.sh"]
    assert (vm / "user/Vagrantfile").read_text() == "theirs"


def test_a_directory_that_is_too_large_is_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vagrant, "_MOST_BYTES", 10)
    (tmp_path / "users").mkdir()
    (tmp_path / "users/Vagrantfile").write_text("more than ten bytes")
    with pytest.raises(UsageError, match="has more than 1 GiB of files"):
        vagrant._copy(str(tmp_path / "users"), str(tmp_path / "to"))
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize(
    ("text", "guest", "communicator"),
    [
        ("", "linux", "ssh"),
        ("  config.vm.communicator = 'winrm'\n", "windows", "winrm"),
        ('  c.vm.communicator = "winssh"\n', "windows", "winssh"),
        ("  config.vm.guest = :windows\n", "windows", "winrm"),
        ("  config.vm.guest = :freebsd\n", "freebsd", "ssh"),
        ("  # config.vm.guest = :freebsd\n", "linux", "ssh"),
    ],
)
def test_what_a_box_says_of_its_guest(text: str, guest: str, communicator: str, tmp_path: Path) -> None:
    place = tmp_path / "boxes/a-VAGRANTSLASH-b/1.0/amd64/libvirt"
    place.mkdir(parents=True)
    (place / "Vagrantfile").write_text(text)
    found = learn(Box("image", "a/b", "libvirt"), str(tmp_path / "boxes"))
    assert (found.guest, found.communicator) == (guest, communicator)
    (tmp_path / "users").mkdir()
    (tmp_path / "users/Vagrantfile").write_text(text)
    found = learn(Box("image", "", "libvirt", directory=str(tmp_path / "users")), str(tmp_path / "none"))
    assert (found.guest, found.communicator) == (guest, communicator)
    known = Box("image", "a/b", "libvirt", guest="openbsd", communicator="ssh")
    assert learn(known, str(tmp_path / "boxes")) == known


def test_the_newest_box_says_what_the_guest_is(tmp_path: Path) -> None:
    """A user's Vagrantfile may have named another box before."""
    for number, (name, guest) in enumerate((("b", "windows"), ("a", "freebsd"))):
        path = tmp_path / "boxes" / name / "1.0/amd64/libvirt/Vagrantfile"
        path.parent.mkdir(parents=True)
        path.write_text(f"config.vm.guest = :{guest}\n")
        os.utime(path, (number, number))
    (tmp_path / "Vagrantfile").write_text("config.vm.box = 'a'\n")
    box = Box("image", "", "libvirt", directory=str(tmp_path))
    assert learn(box, str(tmp_path / "boxes")).guest == "freebsd"


def test_a_snapshot_has_a_limit_of_time_of_its_own(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, float] = {}

    def follow(argv: list[str], *, timeout: float, **_: object) -> None:
        given[argv[2]] = timeout

    monkeypatch.setattr(process, "follow", follow)
    power = warm._Vagrant(vagrant.Project(str(state), Box("image", "a/b", "virtualbox"), str(state)))
    power.save(1, deadline=NEVER)
    power.restore(1, deadline=NEVER)
    power.forget()
    assert given.keys() == {"save", "restore", "delete"}
    assert max(given.values()) <= warm._SNAPSHOT_SECONDS


@pytest.fixture
def added(state: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The command lines by which boxes were added."""
    found: list[list[str]] = []
    monkeypatch.setattr(process, "follow", lambda argv, **_: found.append(list(argv)))
    monkeypatch.setattr(process, "run", lambda argv, **_: "")
    return found


def test_a_box_is_added_once_for_each_version_and_provider(added: list[list[str]]) -> None:
    box = Box("image", "a/b", "libvirt")
    some = (
        box, box, box._replace(version="3.0"), box._replace(version="3.0"), box._replace(provider="virtualbox"),
        Box("image", "mine", "libvirt", file="/x.box"), Box("users", "", "libvirt", directory="/x"),
    )  # fmt: skip
    for one in some:
        with boxes.there(one, deadline=NEVER):
            pass
    add = ["vagrant", "box", "add", "--force"]
    assert added == [
        [*add, "--provider=libvirt", "a/b"],
        [*add, "--provider=libvirt", "--box-version=3.0", "a/b"],
        [*add, "--provider=virtualbox", "a/b"],
        [*add, "--provider=libvirt", "--name", "mine", "/x.box"],
    ]
    assert boxes.names() == ["a-VAGRANTSLASH-b", "mine", "users"]


def test_a_vagrantfile_that_has_changed_is_looked_at_again(added: list[list[str]]) -> None:
    looked: list[str] = []
    for stamp in ("as it was", "as it was", "changed", "as it was"):
        box = Box("users", "", "libvirt", directory="/x", stamp=stamp)
        with boxes.there(box, check=partial(looked.append, stamp), deadline=NEVER):
            pass
    assert looked == ["as it was", "changed"]
    with pytest.raises(ImageError):  # its box may be another one
        boxes.check_here(Box("users", "", "libvirt", directory="/x", stamp="changed again"))


def test_half_a_copy_of_another_version_is_removed(added: list[list[str]]) -> None:
    """Vagrant takes what is in the pool for whole, while a VM of the first version is there."""
    pool = Path(domains.pool_directory())
    pool.mkdir(parents=True)
    whole, half, others = (
        pool / f"{name}_vagrant_box_image_{version}_box.img"
        for name, version in (("a-VAGRANTSLASH-b", "1.0"), ("a-VAGRANTSLASH-b", "2.0"), ("c", "2.0"))
    )
    with boxes.there(Box("image", "a/b", "libvirt", version="1.0"), deadline=NEVER):
        for path in (whole, half, others):
            path.touch()
    with boxes.there(Box("image", "a/b", "libvirt", version="2.0"), deadline=NEVER):
        assert (whole.exists(), half.exists(), others.exists()) == (True, False, True)


def test_a_box_that_is_not_downloaded_offline(added: list[list[str]]) -> None:
    """A file is no download, and a box that is whole needs none; nothing is made before that is known."""
    box = Box("image", "a/b", "libvirt")
    with (
        pytest.raises(ImageError, match="the box of image is not downloaded, and --offline forbids it"),
        warm.taken(box, offline=True, deadline=NEVER),
    ):
        pytest.fail("it is made")
    assert not (records.names() or boxes.names() or added)
    with boxes.there(box, deadline=NEVER):
        pass
    for here in (box, Box("image", "mine", "libvirt", file="/x.box")):
        boxes.check_here(here)
    for lacking in (box._replace(version="2.0"), Box("image", "", "libvirt", directory="/x")):
        with pytest.raises(ImageError):
            boxes.check_here(lacking)


def test_a_box_that_was_half_made_is_made_anew(added: list[list[str]]) -> None:
    box = Box("image", "mine", "libvirt", file="/x.box")
    with pytest.raises(RuntimeError), boxes.there(box, deadline=NEVER):
        raise RuntimeError
    with boxes.there(box, deadline=NEVER):
        pass
    assert len(added) == 2


def test_boxes_without_a_vm_are_removed(added: list[list[str]]) -> None:
    for name in ("a/b", "mine"):
        with boxes.there(Box(name, name, "libvirt"), deadline=NEVER):
            pass
    records_of = Path(records.path_of("image-1"))
    records_of.mkdir(parents=True)
    records.write_box(str(records_of), Box("image", "a/b", "libvirt"))
    assert boxes.sweep(records.boxes) == ["mine"]
    assert boxes.names() == ["a-VAGRANTSLASH-b"]


def test_a_copy_in_the_pool_stays_as_long_as_another_vm_may_be_of_it(added: list[list[str]]) -> None:
    """The box of a Vagrantfile of the user's is of a name that only Vagrant knows."""
    pool = Path(domains.pool_directory())
    pool.mkdir(parents=True)
    copy = pool / "a-VAGRANTSLASH-b_vagrant_box_image_1.0_box.img"
    for box in (Box("image", "a/b", "libvirt"), Box("users", "", "libvirt", directory="/x")):
        with boxes.there(box, deadline=NEVER):
            pass
    copy.touch()
    older = pool / "a-VAGRANTSLASH-b_vagrant_box_image_0.9_box.img"  # of which there is no VM
    older.touch()
    os.makedirs(os.path.join(boxes.directory("users"), "a-VAGRANTSLASH-b", "1.0"))
    assert boxes.sweep(lambda: ["users"]) == ["a-VAGRANTSLASH-b"]
    assert copy.exists() and not older.exists()
    assert boxes.sweep(list) == ["users"] and not copy.exists()


def test_two_first_vms_of_a_box_that_only_vagrant_knows_are_not_made_at_once(added: list[list[str]]) -> None:
    """Each may copy the same box into the pool."""
    users = [Box(name, "", "libvirt", directory=f"/{name}") for name in ("one", "two")]
    plain = Box("image", "a/b", "libvirt")
    for first, second in ((users[0], users[1]), (users[0], plain), (plain, users[1])):
        with pytest.raises(RuntimeError), boxes.there(first, deadline=NEVER):
            with (
                pytest.raises(DeadlineError, match="another process had not made its VM"),
                boxes.there(second, deadline=Deadline(0)),
            ):
                pytest.fail("both are made")
            raise RuntimeError("it is not made whole")
    with boxes.there(plain, deadline=NEVER), boxes.there(Box("x", "x", "libvirt"), deadline=Deadline(0)):
        pass
    with boxes.there(users[0], deadline=NEVER), boxes.there(plain, deadline=Deadline(0)):
        assert "one" in boxes.names(), "a VM of a box that is whole waits for none"


def test_half_a_copy_is_removed_before_another_vm_takes_it(added: list[list[str]]) -> None:
    pool = Path(domains.pool_directory())
    pool.mkdir(parents=True)
    half = pool / "a-VAGRANTSLASH-b_vagrant_box_image_1.0_box.img"
    with pytest.raises(RuntimeError), boxes.there(Box("one", "", "libvirt", directory="/x"), deadline=NEVER):
        os.makedirs(os.path.join(boxes.directory("one"), "a-VAGRANTSLASH-b", "1.0"))
        half.touch()
        raise RuntimeError("killed")
    with boxes.there(Box("two", "", "libvirt", directory="/y"), deadline=NEVER):
        assert not half.exists()


def test_a_vm_of_another_provider_is_powered_off_and_removed_by_vagrant(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Libvirt is not asked for it, which the host may lack."""
    asked: list[list[str]] = []
    monkeypatch.setattr(process, "follow", lambda argv, **_: asked.append(list(argv)))
    monkeypatch.setattr(process, "find", lambda tool: None)
    path = Path(records.path_of("image-1"))
    (path / ".vagrant/machines/default/virtualbox").mkdir(parents=True)
    (path / ".vagrant/machines/default/virtualbox/id").touch()
    box = Box("image", "a/b", "virtualbox")
    records.write_box(str(path), box)
    records.write_ready(str(path), records.Ready(box.identity, "127.0.0.1", 2222))
    assert sweeping.sweep() == [] and path.exists(), "it is ready"
    words, environment = sweeping.off(vagrant.Project(str(path), box))
    assert words == ["vagrant", "halt", "--force"] and environment["VAGRANT_CWD"] == str(path)
    records.forget_ready(str(path))
    assert sweeping.sweep() == ["what was left of the VM image-1"]
    assert asked == [["vagrant", "destroy", "--force"]] and not path.exists()


def test_a_box_is_looked_at_before_it_is_fetched(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boxes, "sweep", lambda used: [])
    monkeypatch.setattr(boxes, "_clear", lambda box: None)
    box = Box("a", "test/a", "libvirt")

    def refuse() -> None:
        raise HostError("no")

    with pytest.raises(HostError, match=r"^no$"), boxes.there(box, check=refuse, deadline=NEVER):
        pytest.fail("there is a box")
