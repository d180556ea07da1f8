"""The box of a Debian image: a disk from its signed packages, for VMs of Vagrant's. Made once, then kept."""

import hashlib
import os
import re
import shutil
import struct
from collections.abc import Callable

from postroj import process
from postroj.deadline import Deadline
from postroj.errors import DeadlineError, ImageError, MissingToolError, PostrojError
from postroj.events import Phase, emit
from postroj.image import bootstrap, boxstore, catalogue, keyring
from postroj.image.boxstore import BuiltBox, Place
from postroj.image.provide import explained
from postroj.image.provision import provision
from postroj.image.source import BOOTSTRAP, Source, host_architecture

_VERSION = 1
"""The version of the recipe: another number makes new boxes."""
_GIGABYTES = 8
_FIRST_SECTOR = 2048
_SECTOR = 512
_GRUB = "/usr/lib/grub/i386-pc"
_TOOLS = ("grub-mkimage", "mke2fs", "qemu-img", "tar")
_PACKAGES = (
    *("udev", "linux-image-cloud-amd64", "initramfs-tools", "zstd", "openssh-server", "sudo", "rsync", "iproute2"),
    *("netbase", "socat"),
)
_RESOLVER = "systemd-resolved"
"""A package of its own since Debian 12; in Debian 11 it is in systemd."""
_USER = "vagrant"
_PUBLISHED_KEY = (
    "ssh-rsa AAAAB3NzaC1yc2EAAAABIwAAAQEA6NF8iallvQVp22WDkTkyrtvp9eWW6A8YVr+kz4TjGYe7gHzIw+niNltGEFHzD8+v1I2YJ6oX"
    "evct1YeS0o9HZyN1Q9qgCgzUFtdOKLv6IedplqoPkcmF0aYet2PkEDo3MlTBckFXPITAMzF8dJSIFo9D8HfdOV0IAdx4O7PtixWKn5y2hMNG"
    "0zQPyUecp4pzC6kivAIhyfHilFR61RGL+GPXQ2MWZWFYbAGjyiYJnAmCP3NOTd0jMZEnDkbUvxhMmBYSdETk1rRgm+R4LOzFUGaHqHDLKLX+"
    "FIPKcF96hrucXzcWyLbIbEgE98OHlnVYCzRdK8jlqm8tehUc9c9WhQ== vagrant insecure public key\n"
)
"""keys/vagrant.pub of Vagrant, by which it logs in the first time. Its private half is public: a VM needs another."""

# Constant text. The initramfs has what the virtual disk needs, and no more: under emulation each megabyte takes time.
_SMALL_INITRAMFS = (
    'mkdir -p "$1/etc/initramfs-tools/conf.d"'
    ' && printf "%s\\n" virtio_pci virtio_blk ext4 >"$1/etc/initramfs-tools/modules"'
    ' && printf "%s\\n" MODULES=list COMPRESS=zstd RESUME=none FSTYPE=ext4 >"$1/etc/initramfs-tools/conf.d/postroj"'
)
_ACCOUNT = (
    f'chroot "$1" useradd --create-home --shell=/bin/bash {_USER}'
    ' && chroot "$1" systemctl enable systemd-networkd.service systemd-resolved.service ssh.service'
)

_FILES = {
    "etc/hostname": "debian\n",
    "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 debian\n",
    "etc/fstab": "/dev/vda1 / ext4 defaults,noatime 0 0\n",
    # ClientIdentifier: machine IDs differ from boot to boot of a snapshot, and the address is to stay
    "etc/systemd/network/80-dhcp.network": (
        "[Match]\nType=ether\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n"
        "[DHCPv4]\nClientIdentifier=mac\n"
    ),
    "etc/ssh/sshd_config.d/postroj.conf": "UseDNS no\nGSSAPIAuthentication no\nPermitRootLogin prohibit-password\n",
    f"etc/sudoers.d/{_USER}": f"{_USER} ALL=(ALL) NOPASSWD: ALL\n",
}
_MENU = """set timeout=0
menuentry debian {{
 linux /boot/{kernel} root=/dev/vda1 rw console=ttyS0 net.ifnames=0 mitigations=off quiet
 initrd /boot/{initrd}
}}
"""
_EARLY = "set root=(hd0,msdos1)\nset prefix=(hd0,msdos1)/boot/grub\nconfigfile /boot/grub/grub.cfg\n"
_MODULES = ("biosdisk", "part_msdos", "ext2", "normal", "configfile", "linux", "echo")
_METADATA = f'{{"provider": "libvirt", "format": "qcow2", "virtual_size": {_GIGABYTES}}}\n'
_VAGRANTFILE = 'Vagrant.configure("2") do |config|\nend\n'


def box(name: str, *, deadline: Deadline, offline: bool = False) -> BuiltBox:
    """Return the box of an image of the catalogue, made unless it is here, or `offline`.

    The deadline is looked at between the steps of the making, and while another process makes it. Raises UsageError for
    an unknown image, ImageError, MissingToolError, DeadlineError, OSError.
    """
    entry = catalogue.resolve(name)
    source = _source(entry)
    recipe = _recipe(source)
    if found := boxstore.find(entry.name, recipe):
        return found
    if offline:
        what = f"the box of {entry.name} is not here, and to make it takes downloads, which --offline forbids"
        raise ImageError(what, hint="run once without --offline")
    _check_host()
    bootstrap.find(source, entry.name)
    with boxstore.making(entry.name, recipe, deadline=deadline) as place:
        if found := place.box():  # somebody else has made it meanwhile
            return found
        try:
            return _make(place, source, entry.name, deadline)
        except DeadlineError:
            raise
        except (PostrojError, OSError) as problem:
            error = explained(problem)
            what = f"the box of {entry.name} cannot be made: {error.what}"
            raise ImageError(what, why=error.why, hint=error.hint) from problem


def is_possible(name: str) -> bool:
    """Return whether a box can be made of an image, by its name."""
    try:
        _source(catalogue.resolve(name))
    except PostrojError:
        return False
    return True


def _source(entry: catalogue.Entry) -> Source:
    for source in entry.sources:
        if source.kind == BOOTSTRAP and source.bootstrap.keyring != keyring.UBUNTU:
            return source
    debian = [one.name for one in catalogue.entries() if any(source.kind == BOOTSTRAP for source in one.sources)]
    raise ImageError(
        f"no box can be made of {entry.name}: it is not bootstrapped from the archive of Debian",
        hint=f"there is {', '.join(name for name in debian if name.startswith('debian-'))}",
    )


def _recipe(source: Source) -> str:
    """Return the hash of all that a box is made of, but the packages' versions."""
    parts = (_VERSION, str(source), source.bootstrap, _packages(source), _SMALL_INITRAMFS, _ACCOUNT, _FILES)
    more = (_PUBLISHED_KEY, _MENU, _EARLY, _MODULES, _METADATA, _VAGRANTFILE)
    return hashlib.sha256(repr((*parts, *more)).encode()).hexdigest()[:12]


def _packages(source: Source) -> tuple[str, ...]:
    return _PACKAGES if source.location == "bullseye" else (*_PACKAGES, _RESOLVER)


def _check_host() -> None:
    """Raise MissingToolError or ImageError, before anything is downloaded, if this host cannot make a box."""
    if host_architecture() != "amd64":
        raise ImageError(f"boxes are made on amd64 only; this host is {host_architecture()}")
    process.require(*_TOOLS)
    if not os.path.exists(os.path.join(_GRUB, "boot.img")):
        raise MissingToolError(
            "GRUB for BIOS is missing on this host, which a box boots by", hint="apt-get install grub-pc-bin"
        )


def _make(place: Place, source: Source, name: str, deadline: Deadline) -> BuiltBox:
    os.mkdir(place.work)
    root, disk, image = (os.path.join(place.work, part) for part in ("root", "disk.raw", "box.img"))
    hooks = (f"--setup-hook={_SMALL_INITRAMFS}", f"--customize-hook={_ACCOUNT}")
    steps: tuple[tuple[str, str, Callable[[], None]], ...] = (
        (
            "download",
            f"bootstrapping {source.location} with a kernel",
            lambda: bootstrap.make(source, root, name, use="box of ", packages=_packages(source), hooks=hooks),
        ),
        ("provision", "preparing the system for a VM", lambda: _prepare(root, name)),
        ("unpack", "making the disk", lambda: _make_disk(root, disk, place.work, name)),
        ("unpack", "compacting the disk", lambda: _convert(disk, image, name)),
        ("unpack", "packing the box", lambda: _pack(place, name)),
    )
    for phase, text, step in steps:
        if deadline.expired():
            raise DeadlineError(f"the box of {name} was not made within {deadline.seconds:g} s")
        emit(Phase(name, phase, text))
        step()
    shutil.rmtree(place.work)
    return place.finish()


def _prepare(root: str, name: str) -> None:
    """Settle the tree as that of a container, and write what only a VM has."""
    provision(name, root)
    for path, text in _FILES.items():
        _write(os.path.join(root, path), text)
    os.chmod(os.path.join(root, f"etc/sudoers.d/{_USER}"), 0o440)
    os.symlink("../run/systemd/resolve/stub-resolv.conf", os.path.join(root, "etc/resolv.conf"))
    home = os.path.join(root, "home", _USER)
    owner = os.stat(home)
    os.mkdir(os.path.join(home, ".ssh"), 0o700)
    key = os.path.join(home, ".ssh/authorized_keys")
    _write(key, _PUBLISHED_KEY)
    os.chmod(key, 0o600)
    for path in (key, os.path.dirname(key)):
        os.chown(path, owner.st_uid, owner.st_gid)
    boot = os.path.join(root, "boot")
    kernel, initrd = _only(boot, r"vmlinuz-[\w.+-]+"), _only(boot, r"initrd\.img-[\w.+-]+")
    _write(os.path.join(boot, "grub/grub.cfg"), _MENU.format(kernel=kernel, initrd=initrd))


def _only(directory: str, pattern: str) -> str:
    """Return the one file with such a name. Raises ImageError."""
    found = [name for name in os.listdir(directory) if re.fullmatch(pattern, name)]
    if len(found) != 1:
        raise ImageError(f"{len(found)} files instead of one match {pattern} in /boot", why="\n".join(found))
    return found[0]


def _make_disk(root: str, disk: str, work: str, name: str) -> None:
    """Make a disk with one partition, without mounting it, and a boot loader before that."""
    size = _GIGABYTES << 30
    with open(disk, "wb") as file:
        file.truncate(size)
    start = _FIRST_SECTOR * _SECTOR
    # metadata_csum_seed, orphan_file: GRUB refuses them. lazy_*: nothing is left for the guest to do as it boots.
    extended = f"offset={start},lazy_itable_init=0,lazy_journal_init=0"
    words = ["mke2fs", "-q", "-t", "ext4", "-F", "-d", root, "-L", "root", "-O", "^metadata_csum_seed,^orphan_file"]
    process.follow([*words, "-E", extended, disk, f"{(size - start) >> 10}k"], subject=name)
    early, core = (os.path.join(work, part) for part in ("early.cfg", "core.img"))
    _write(early, _EARLY)
    words = ["grub-mkimage", "-O", "i386-pc", "-p", "(hd0,msdos1)/boot/grub", "-c", early, "-o", core]
    process.follow([*words, *_MODULES], subject=name)
    with open(disk, "r+b") as file:
        file.write(_boot_sector(_read(os.path.join(_GRUB, "boot.img")), (size - start) // _SECTOR))
        loader = _read(core)
        if len(loader) > start - _SECTOR:
            raise ImageError(f"GRUB with {len(loader)} bytes does not fit before the first partition")
        file.write(loader)


def _boot_sector(boot: bytes, sectors: int) -> bytes:
    """Return the first sector: 440 bytes of program, and a table of one active Linux partition, addressed by LBA."""
    beyond_chs = b"\xfe\xff\xff"
    entry = struct.pack("<B3sB3sII", 0x80, beyond_chs, 0x83, beyond_chs, _FIRST_SECTOR, sectors)
    return boot[:440].ljust(446, b"\0") + entry.ljust(64, b"\0") + b"\x55\xaa"


def _convert(disk: str, image: str, name: str) -> None:
    process.follow(["qemu-img", "convert", "-O", "qcow2", disk, image], subject=name)
    os.unlink(disk)


def _pack(place: Place, name: str) -> None:
    _write(os.path.join(place.work, "metadata.json"), _METADATA)
    _write(os.path.join(place.work, "Vagrantfile"), _VAGRANTFILE)
    words = ["tar", f"--directory={place.work}", f"--file={place.file}", "--create"]
    process.follow([*words, "metadata.json", "Vagrantfile", "box.img"], subject=name)


def _write(path: str, text: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
