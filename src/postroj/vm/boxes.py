"""Boxes as Vagrant has them, unpacked, and in libvirt's storage pool.

VMS/.boxes/NAME/home                        VAGRANT_HOME of `vagrant box add`; the box is in `boxes` of it
VMS/.boxes/NAME/whole-PROVIDER@VERSION      written last: without it, the box is half made. It is locked while it is
                                            made. Without a version it is what was the newest one; of a user's directory
                                            what its files are like is the version

Vagrant copies a box into the pool when the first VM is made of it, and takes what is there for whole. So that VM is
made while the box is locked. Which box a Vagrantfile of the user's names, only Vagrant knows: while the first VM of one
is made, no first VM of any other box is. For that VMS/.boxes is locked.
"""

import glob
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial

from postroj import locks, process
from postroj.deadline import Deadline
from postroj.errors import ImageError
from postroj.events import Step
from postroj.locks import DirectoryLock
from postroj.replacing import replacing
from postroj.settings import vms_dir
from postroj.vm import domains, vagrant
from postroj.vm.box import Box
from postroj.vm.mistakes import told

_WHOLE = "whole-"


def directory(box: str) -> str:
    """Return the path of the directory of boxes that a box is in."""
    return os.path.join(_path(box), "home", "boxes")


@contextmanager
def there(box: Box, *, check: Callable[[], None] = lambda: None, deadline: Deadline) -> Iterator[None]:
    """Have a box; a VM can be made of it in the block. Raises HostError, DeadlineError, OSError, and what `check` does.

    That is called before it is fetched, when Vagrant can be asked. The box of a Vagrantfile of the user's is fetched as
    its VM is made.
    """
    with _locked(_path(box.place), box.place, deadline) as lock:
        whole = _whole(box)
        if not os.path.exists(whole):
            with _locked(os.path.dirname(lock.path), box.place, deadline, shared=not box.directory):
                if whole_ones := [name for name in os.listdir(lock.path) if name.startswith(_WHOLE)]:
                    _clear_copies(box.place, {name.partition("@")[2] for name in whole_ones})
                else:
                    _clear(box.place)
                sweep(names)  # what was killed meanwhile, and may have left half a copy in the pool
                vagrant.make_home(os.path.join(lock.path, "home"))
                os.makedirs(directory(box.place), exist_ok=True)
                check()
                if not box.directory:
                    _add(box, deadline)
                yield
                with replacing(whole):
                    pass
            return
    yield


def check_here(box: Box) -> None:
    """Raise ImageError if a VM cannot be made of a box without a download of it."""
    if not box.file and not os.path.exists(_whole(box)):
        what = f"the box of {box.image} is not downloaded, and --offline forbids it"
        raise ImageError(what, hint="run once without --offline")


def sweep(used: Callable[[], Collection[str]]) -> list[str]:
    """Remove boxes that are half made, and those that no VM is made of; return their names. Raises HostError, OSError.

    `used` returns the names of the boxes that there are VMs of; it is called while a box is locked.
    """
    found = []
    for box in names():
        path = _path(box)
        if lock := locks.lock_directory(path, wait=False):
            with lock:
                is_whole = any(name.startswith(_WHOLE) for name in os.listdir(path))
                if is_whole and box in map(_directory_name, used()):
                    continue
                _clear(box)
                os.rmdir(path)
            found.append(box)
    return found


def names() -> list[str]:
    """Return the names of all boxes, half made ones as well."""
    try:
        return sorted(os.listdir(os.path.join(vms_dir(), ".boxes")))
    except FileNotFoundError:
        return []


def _add(box: Box, deadline: Deadline) -> None:
    words = ["vagrant", "box", "add", "--force", f"--provider={box.provider}"]
    words += [f"--box-version={box.version}"] if box.version else []
    words += ["--name", box.name, box.file] if box.file else [box.name]
    env = vagrant.environment(os.path.join(_path(box.place), "home"), box.provider)
    follow = partial(process.follow, words, subject=box.image, env=env, timeout=deadline.remaining())
    told(follow, box, f"the box of {box.image}", deadline)


def _clear(box: str) -> None:
    """Remove all that is in the directory of a box, and its copies in the pool."""
    path = _path(box)
    # With a Vagrantfile of the user's there may be one of another name, which others have as well.
    own, others = _directory_name(box), [name for name in names() if name != _directory_name(box)]
    kept = tuple(f"{_copies(name)}{version}_" for other in others for name, version in _inside(other))
    for name in {own, *(name for name, _ in _inside(own))}:
        domains.delete_disks(rf"{re.escape(_copies(name))}.*\.img", kept)
    for name in sorted(os.listdir(path), reverse=True):  # "whole" before "home"
        inner = os.path.join(path, name)
        shutil.rmtree(inner) if os.path.isdir(inner) else os.unlink(inner)


def _clear_copies(box: str, whole: Collection[str]) -> None:
    """Remove the copies in the pool of versions that are not `whole`: a killed Vagrant has left halves of them.

    Which version was the newest one is not known, so where that is whole all are left.
    """
    if "" not in whole:
        copies = _copies(_directory_name(box))
        domains.delete_disks(rf"{re.escape(copies)}.*\.img", tuple(f"{copies}{version}_" for version in whole))


def _inside(name: str) -> Iterator[tuple[str, str]]:
    """Yield the names of the boxes, as those of files, that a directory of boxes has, with their versions."""
    for path in glob.iglob(os.path.join(glob.escape(directory(name)), "*", "*")):
        box, version = path.split(os.sep)[-2:]
        yield box, version


def _copies(name: str) -> str:
    """Return how the names of the copies of a box in the pool begin; a version follows, and an underscore."""
    return f"{name}_vagrant_box_image_"


def _path(box: str) -> str:
    return os.path.join(vms_dir(), ".boxes", _directory_name(box))


def _whole(box: Box) -> str:
    return os.path.join(_path(box.place), f"{_WHOLE}{box.provider}@{box.stamp if box.directory else box.version}")


def _directory_name(box: str) -> str:
    """Return the name of a box as that of a file, as Vagrant and its plugin have it."""
    return box.replace("/", "-VAGRANTSLASH-")


@contextmanager
def _locked(path: str, box: str, deadline: Deadline, *, shared: bool = False) -> Iterator[DirectoryLock]:
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    waiting = Step(box, "waiting for another process that makes a VM of this box, or may do so")
    undone = f"another process had not made its VM of {box}"
    with locks.lock_in_time(path, deadline, shared=shared, waiting=waiting, undone=undone) as lock:
        yield lock
