"""The providers of Vagrant, and those that this host has.

Source: "Providers" (Vagrant's documentation), and that of vagrant-libvirt, vagrant-parallels and vagrant-qemu.
"""

import os
import shutil
import sys
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from postroj.errors import HostError, UsageError
from postroj.privileges import is_linux


class Provider(NamedTuple):
    """A program that runs virtual machines, as Vagrant calls it."""

    name: str
    title: str
    platforms: tuple[str, ...]
    """Those of sys.platform that it is there for."""
    programs: tuple[str, ...]
    """It is there if one of them is in PATH, or a file with this absolute path."""
    plugin: str = ""
    """The plugin that Vagrant needs for it; empty for none."""


_ALL = ("linux", "darwin", "win32")
PROVIDERS = (
    Provider(
        "libvirt", "libvirt with QEMU", ("linux",), ("virsh", "libvirtd", "virtqemud"), plugin="vagrant-libvirt"
    ),
    Provider("virtualbox", "VirtualBox", _ALL, ("VBoxManage", "vboxmanage")),
    Provider(
        "vmware_desktop", "VMware Workstation or Fusion", _ALL,
        ("vmrun", "/Applications/VMware Fusion.app/Contents/Public/vmrun"), plugin="vagrant-vmware-desktop",
    ),
    Provider("hyperv", "Hyper-V", ("win32",), ("vmms.exe", r"C:\Windows\System32\vmms.exe")),
    Provider("parallels", "Parallels Desktop", ("darwin",), ("prlctl",), plugin="vagrant-parallels"),
    Provider("qemu", "QEMU", ("linux", "darwin"), ("qemu-system-x86_64", "qemu-system-aarch64"), plugin="vagrant-qemu"),
)  # fmt: skip
"""In the order in which they are tried."""

NAMES = tuple(provider.name for provider in PROVIDERS)


def available(platform: str = sys.platform, which: Callable[[str], str | None] = shutil.which) -> Sequence[Provider]:
    """Return the providers that this host has, as far as their programs tell, in the order of PROVIDERS."""
    return [one for one in PROVIDERS if platform in one.platforms and _is_there(one, which)]


def _is_there(provider: Provider, which: Callable[[str], str | None]) -> bool:
    return any(os.path.isfile(name) if os.path.isabs(name) else which(name) for name in provider.programs)


def choose(subject: str, offered: Collection[str], there: Sequence[Provider], asked: str = "") -> Provider:
    """Return the provider for a box, which is `offered` for some of them: the one that is `asked` for, or the first.

    `there` is what the host has. Raises UsageError for a provider that is not known, or that the box is not for, and
    HostError if the host has none of them.
    """
    names = ", ".join(offered)
    if asked and asked not in NAMES:
        raise UsageError(f"there is no provider {asked[:80]!r}", hint=f"there is {', '.join(NAMES)}")
    if asked and asked not in offered:
        raise UsageError(f"{subject} is not there for the provider {asked}", hint=f"it is there for {names}")
    for provider in there:
        if provider.name == asked or (not asked and provider.name in offered):
            return provider
    if asked:
        raise HostError(f"{_named(asked).title}, the provider {asked}, is not on this host")
    what = f"{subject} needs one of these providers, and this host has none of them: {names}"
    has = ", ".join(one.name for one in there)
    install = "on Debian: apt install vagrant-libvirt libvirt-daemon-system" if is_linux() else "install one of them"
    raise HostError(what, hint=f"this host has {has}" if has else install)


def _named(name: str) -> Provider:
    return next(provider for provider in PROVIDERS if provider.name == name)
