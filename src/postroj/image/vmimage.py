"""From what a user calls an image of a virtual machine to the box that the machine is made of."""

import hashlib
import os
import re
import stat
from collections.abc import Sequence
from typing import NamedTuple

from postroj.deadline import Deadline
from postroj.errors import HostError, UsageError
from postroj.image import boxes, boxfile, fingerprint
from postroj.image.source import host_architecture, is_reference
from postroj.vm import providers
from postroj.vm.box import LINUX, SSH, Box

_UNSAFE = re.compile(r"[^a-z0-9.]+")
_BOXES = "images for virtual machines have the KIND vm in `postroj list-images`; any other box: vagrant:OWNER/BOX"
_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "arm64": "arm64", "aarch64": "arm64"}
_FAMILIES = {"windows": "windows", "freebsd": "pkg"}
"""The family of a guest whose system has one only."""
MEMORY, CORES = 1024, 1
"""What the VM of a box of ours gets."""


class VmImage(NamedTuple):
    """An image of a virtual machine."""

    name: str
    box: Box | None
    """None for a Debian image, whose box is made here."""
    family: str = ""
    """Empty if it has to be asked for in the guest."""

    def check_host(self) -> None:
        """Raise what warm.check_host does if this host cannot have a VM of it."""
        from postroj.vm import warm

        warm.check_host(self.box.provider if self.box else "libvirt")

    def made(self, deadline: Deadline, *, offline: bool = False) -> Box:
        """Return its box, which is made unless it is here. Raises what warm.check_host and box.box do.

        One that is downloaded for its first VM is returned with `offline` as well: see warm.taken.
        """
        self.check_host()
        if self.box:
            return self.box
        from postroj.image.box import box

        built = box(self.name, deadline=deadline, offline=offline)
        return Box(
            self.name, built.name, "libvirt", file=built.path, guest=LINUX, communicator=SSH, memory=MEMORY, cores=CORES
        )


def find(text: str, *, vm: bool = False, provider: str = "") -> VmImage | None:
    """Return the image of a virtual machine that a text means; None if it means one of a container.

    With `vm` a name that can be both is a virtual machine; so it is with a `provider`, the one of Vagrant's that is
    asked for. Raises UsageError for what cannot be one, and HostError if the host has no provider for it.
    """
    wants = vm or bool(provider)
    if reference := boxes.parse(text):
        return _of_reference(reference, provider)
    entry = boxes.find(text)
    if entry and not _is_container(entry.name):
        return _of_entry(entry, provider)
    if not wants:
        return None
    return _of_container(text, entry, provider)


def named(text: str) -> tuple[str, tuple[str, ...], str] | None:
    """Return the name, the aliases and the family of an image that virtual machines only are made from; None if it is
    not one.

    The host's providers do not matter; the family is empty if the guest has to tell it. Raises UsageError.
    """
    if reference := boxes.parse(text):
        return _name_of(reference), (text,), ""
    entry = boxes.find(text)
    if entry and not _is_container(entry.name):
        return entry.name, (entry.alias,), _FAMILIES.get(entry.guest, "")
    return None


def _name_of(reference: boxes.Reference) -> str:
    if reference.file:
        return _called(os.path.basename(reference.file).removesuffix(".box"), reference.file)
    if reference.directory:
        return _called(os.path.basename(reference.directory), reference.directory)
    return _called(reference.name.replace("/", "-"), f"{reference.name}@{reference.version}")


def is_only_of_vm(text: str) -> bool:
    """Return whether a text means an image that no container is made from. Raises UsageError for a wrong reference."""
    entry = boxes.find(text)
    return boxes.parse(text) is not None or (entry is not None and not _is_container(entry.name))


def _is_container(name: str) -> bool:
    from postroj.image import catalogue

    return any(one.name == name for one in catalogue.entries())


def _of_container(text: str, entry: boxes.Entry | None, provider: str) -> VmImage:
    """Return the VM of an image that containers are made from: its box is made here if that can be done."""
    from postroj.image import box, catalogue

    if is_reference(text):
        raise UsageError(f"no virtual machine is made of {text[:100]}", hint=_BOXES)
    of_container = catalogue.resolve(text)
    entry = entry or boxes.find(of_container.name)
    is_built = box.is_possible(of_container.name)
    there = providers.available()
    is_libvirt = not provider and any(one.name == "libvirt" for one in there)
    if is_built and (provider == "libvirt" or is_libvirt or not entry):
        providers.choose(of_container.name, ["libvirt"], there, provider)
        return VmImage(of_container.name, None, of_container.family)
    if entry:
        return _of_entry(entry, provider)._replace(family=of_container.family)
    raise UsageError(f"there is no box of {of_container.name}", hint=_BOXES)


def _of_entry(entry: boxes.Entry, asked: str) -> VmImage:
    _check_architecture(entry.name, entry.architectures)
    provider = providers.choose(entry.name, entry.providers, providers.available(), asked).name
    name = next(box.name for box in entry.boxes if provider in box.providers)
    box = Box(
        entry.name, name, provider, guest=entry.guest, communicator=entry.communicator, memory=entry.memory,
        cores=entry.cores,
    )  # fmt: skip
    return VmImage(entry.name, box, _FAMILIES.get(entry.guest, ""))


def _of_reference(reference: boxes.Reference, asked: str) -> VmImage:
    name = _name_of(reference)
    if reference.file:
        return _of_file(name, reference.file, asked)
    if reference.directory:
        stamp = fingerprint.of_directory(reference.directory, without=(".vagrant", ".git"))
        provider = providers.choose(reference.directory, providers.NAMES, providers.available(), asked).name
        return VmImage(name, Box(name, "", provider, directory=reference.directory, stamp=stamp))
    text = f"{boxes.SCHEME}{reference.name}"
    provider = providers.choose(text, providers.NAMES, providers.available(), asked).name
    return VmImage(name, Box(name, reference.name, provider, version=reference.version))


def _of_file(name: str, path: str, asked: str) -> VmImage:
    try:
        status = os.stat(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):  # to read a FIFO would never end
        raise UsageError(f"{path} is not a file")
    told = boxfile.read(path)
    if told.provider not in providers.NAMES:
        raise UsageError(f"{path} is a box for {told.provider}, which is not a provider that postroj knows")
    if told.architecture:
        _check_architecture(path, [_ARCHITECTURES.get(told.architecture, told.architecture)])
    provider = providers.choose(path, [told.provider], providers.available(), asked).name
    stamp = f"{status.st_size}-{status.st_mtime_ns}"
    # Vagrant keeps a copy by the name: a file that has changed needs another one
    of_file = f"{name}-{hashlib.sha256(stamp.encode()).hexdigest()[:8]}"
    return VmImage(name, Box(name, of_file, provider, file=path, stamp=stamp))


def _check_architecture(subject: str, architectures: Sequence[str]) -> None:
    own = host_architecture()
    if own not in architectures:
        raise HostError(f"{subject} is for {' and '.join(architectures)}, and this host is {own}")


def _called(readable: str, whole: str) -> str:
    """Return the name of an image by a part for people, and a hash, for there may be others."""
    plain = _UNSAFE.sub("-", readable.lower()).strip("-.")[:30].strip("-.") or "box"
    return f"{plain}-{hashlib.sha256(whole.encode(errors='surrogateescape')).hexdigest()[:8]}"
