"""What of this host is fit for machines, found out by trying, and what mends the rest."""

import enum
import os
import platform
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from postroj import privileges, process
from postroj.container import trial
from postroj.container.host import cgroup, limits, machined, record
from postroj.container.host.sysctl import INOTIFY, RCU_EXPEDITED
from postroj.container.launch import devices
from postroj.container.launch.nspawn import MACHINE_TOOLS
from postroj.container.network import firewall, resolver
from postroj.errors import HostError, PostrojError
from postroj.image import keyring
from postroj.settings import downloads_dir, images_dir
from postroj.vm import domains, vagrant, warm

_KERNEL = (5, 6)  # openat2(2), for each file of a guest or an image; pidfd_open(2) needs 5.3
_IMAGE_TOOLS = {"bootstrapped images": ("mmdebstrap",), "images from OCI registries": ("skopeo", "umoci")}
_SPACE = 2 * 1024**3


class Level(enum.Enum):
    """How good a finding is."""

    OK = "ok"
    NOTE = "note"
    BAD = "bad"


class Check(NamedTuple):
    """One finding, and the command that mends it."""

    level: Level
    what: str
    mend: str = ""


def examine() -> Iterator[Check]:
    """Look at everything; what cannot be tried without root is said."""
    if not privileges.is_linux():
        yield from _without_linux()
        return
    yield _root()
    yield _kernel()
    yield from _tools()
    yield _cgroup()
    yield _limits()
    yield _inotify()
    yield _devices()
    yield from _vms()
    if os.geteuid() == 0:
        yield from _grace_periods()
        yield from _images()
        yield from _network()
        yield from _firewall()
    yield from _resolver()
    yield _init()
    yield from _kept()
    yield from _space()


def _without_linux() -> Iterator[Check]:
    from postroj.vm.host import machine

    if machine.exists():
        yield Check(Level.OK, f"this host runs {privileges.system()}, and what needs Linux is run in the Linux VM")
    else:
        what = f"this host runs {privileges.system()}, and machines need Linux"
        yield Check(Level.BAD, what, privileges.HOW_TO_GET_LINUX)
    plans = "test --list, --check, --explain and --init"
    yield Check(Level.OK, f"works here: list-images, completion, help, vm, and of plans {plans}")


def _root() -> Check:
    if os.geteuid() == 0:
        return Check(Level.OK, "runs as root")
    return Check(Level.BAD, "does not run as root, which machines need", "sudo postroj doctor")


def _kernel() -> Check:
    release = platform.release()
    version = tuple(int(part) for part in release.split("-")[0].split("+")[0].split(".")[:2])
    if version >= _KERNEL:
        return Check(Level.OK, f"Linux {release}")
    return Check(Level.BAD, f"Linux {release} is older than {'.'.join(map(str, _KERNEL))}", "boot a newer kernel")


def _tools() -> Iterator[Check]:
    missing = [tool for tool in MACHINE_TOOLS if not process.find(tool)]
    if missing:
        yield Check(Level.BAD, f"missing for machines: {', '.join(missing)}", process.install_hint(missing))
    else:
        yield Check(Level.OK, f"for machines: {', '.join(MACHINE_TOOLS)}")
    for purpose, tools in _IMAGE_TOOLS.items():
        missing = [tool for tool in tools if not process.find(tool)]
        if missing:
            yield Check(Level.NOTE, f"missing for {purpose}: {', '.join(missing)}", process.install_hint(missing))
        else:
            yield Check(Level.OK, f"for {purpose}: {', '.join(tools)}")
    if process.find("mmdebstrap"):
        yield from _keys()


def _keys() -> Iterator[Check]:
    """Look for a key of each release that can be bootstrapped."""
    found = keyring.examine()
    if keyring.DEBIAN not in [one.path for one in found]:
        yield Check(Level.BAD, f"{keyring.DEBIAN} is missing", f"apt-get install {keyring.package(keyring.DEBIAN)}")
    for one in found:
        if one.lacking:
            what = f"{one.path} has no key for {', '.join(one.lacking)}: they cannot be bootstrapped"
            yield Check(Level.NOTE, what, f"update the package {one.package}")
        else:
            yield Check(Level.OK, f"keys of the releases to bootstrap: {one.path}")


def _cgroup() -> Check:
    try:
        cgroup.deserted()
    except (PostrojError, OSError) as error:
        return Check(Level.BAD, f"cgroup2 cannot be used: {error}", getattr(error, "hint", ""))
    return Check(Level.OK, "cgroup2" if cgroup.is_unified() else "cgroup v1, and cgroup2 for machines")


def _inotify() -> Check:
    """See `sysctl`: it is raised where it can be."""
    if INOTIFY.suffices() or os.access(INOTIFY.path, os.W_OK):
        return Check(Level.OK, "inotify instances for many machines at once")
    with open(INOTIFY.path) as file:
        what = f"only {file.read().strip()} inotify instances: enough for a few machines at once, of about seven each"
    return Check(Level.NOTE, what, f"sysctl fs.inotify.max_user_instances={INOTIFY.wanted}")


def _grace_periods() -> Iterator[Check]:
    """Tell whether boots are quicker, as `container.host.sysctl` has it."""
    if not os.path.exists(RCU_EXPEDITED.path) or _reads_one("/sys/kernel/rcu_normal"):
        return
    if RCU_EXPEDITED.suffices() or os.access(RCU_EXPEDITED.path, os.W_OK):
        yield Check(Level.OK, "the kernel's grace periods can be expedited while machines run")
    else:
        what = f"{RCU_EXPEDITED.path} cannot be written: boots, and their ends, take longer than they could"
        yield Check(Level.NOTE, what, "have /sys, or /sys/kernel, mounted for writing: mount -o remount,rw")


def _reads_one(path: str) -> bool:
    try:
        with open(path) as file:
            return file.read().strip() == "1"
    except FileNotFoundError:
        return False


def _kept() -> Iterator[Check]:
    """Name the machines that stay after their probe: each has memory and a number."""
    kept = []
    for name in record.owners():
        with suppress(HostError):  # of another version
            if (found := record.read(name)) and found.until:
                kept.append(f"{name} until {time.strftime('%H:%M', time.localtime(found.until))}")
    if kept:
        mend = f"postroj stop {' '.join(one.partition(' ')[0] for one in kept)}"
        yield Check(Level.NOTE, f"kept after their probes: {', '.join(kept)}", mend)


def _devices() -> Check:
    there = devices.there()
    missing = {path: module for path, module in devices.NODES.items() if path not in there}
    if not missing:
        return Check(Level.OK, f"devices for machines: {', '.join(there)}")
    what = f"this host has no {' and no '.join(missing)}: packages that need it get no verdict"
    return Check(Level.NOTE, what, f"modprobe -a {' '.join(missing.values())}")


def _vms() -> Iterator[Check]:
    """Look at what `--vm` needs."""
    tools = ("virsh", *warm.TOOLS)
    missing = [tool for tool in tools if not process.find(tool)]
    if missing:
        yield Check(Level.NOTE, f"missing for --vm: {', '.join(missing)}", process.install_hint(missing))
        return
    yield Check(Level.OK, f"for --vm: {', '.join(tools)}")
    if os.geteuid() == 0:
        try:
            domains.states()
            yield Check(Level.OK, "libvirt runs")
        except HostError as error:
            yield Check(Level.NOTE, f"no --vm: {error.what}", error.hint)
    if vagrant.has_kvm():
        yield Check(Level.OK, "virtual machines run by KVM")
    else:
        yield Check(Level.NOTE, "virtual machines are emulated, which is slow: there is no KVM by which a kernel boots")


def _limits() -> Check:
    try:
        there = limits.controllers()
    except (PostrojError, OSError):
        there = set()  # said already
    missing = [option for controller, option in limits.OPTIONS.items() if controller not in there]
    if not missing:
        return Check(Level.OK, "limits on memory, CPU time and tasks")
    mend = "mount the controllers, or boot with systemd.unified_cgroup_hierarchy=1"
    return Check(Level.NOTE, f"not enforced here: {', '.join(missing)} (no such cgroup controller)", mend)


def _images() -> Iterator[Check]:
    """What a machine does with an image, with a directory beside where they are."""
    place = _existing(images_dir())
    if not os.access(place, os.W_OK):
        yield Check(Level.BAD, f"{place} cannot be written to", "move the images: POSTROJ_STATE_DIR=/path/on/a/disk")
        return
    try:
        trial.overlay(place, own_users=False)
    except (PostrojError, OSError) as error:
        what = f"no overlay can be mounted over {place}: {_first_line(error)}"
        yield Check(Level.BAD, what, "modprobe overlay; or move the images: POSTROJ_STATE_DIR=/path/on/a/disk")
        return
    yield Check(Level.OK, f"an overlay can be mounted over {place}")
    try:
        trial.overlay(place, own_users=True)
    except (PostrojError, OSError) as error:
        what = f"user namespaces unavailable, so root in a machine is root on the host: {_first_line(error)}"
        mend = f"Linux 5.19 or newer, user.max_user_namespaces above 0, {place} on ext4, xfs or btrfs"
        yield Check(Level.NOTE, what, mend)
        return
    yield Check(Level.OK, "user namespaces and idmapped mounts")


def _first_line(error: PostrojError | OSError) -> str:
    return (getattr(error, "why", "").strip() or str(error)).splitlines()[0]


def _network() -> Iterator[Check]:
    """Make what a machine's network is made of, for a moment, in a network namespace of its own."""
    trials = {
        "virtual network links": ["ip", "link", "add", "postroj0", "type", "veth", "peer", "name", "postroj1"],
        "nftables with NAT": ["nft", "-f", "-"],
    }
    if not os.access("/proc/sys/net/ipv4/ip_forward", os.W_OK):
        yield Check(
            Level.BAD, "net.ipv4.ip_forward cannot be set", "run with a writable /proc/sys (docker run --privileged)"
        )
    rules = (
        "table inet t { chain c { type nat hook postrouting priority 100; ip saddr 192.0.2.0/24 masquerade\n}\n"
        "chain n { type nat hook prerouting priority -100; udp dport 53 redirect to :53\n}\n"
        "chain s { type filter hook forward priority 0; tcp flags syn tcp option maxseg size set rt mtu\n}\n"
        "chain d { type filter hook prerouting priority -300; fib saddr . iif oif missing drop\n}\n}\n"
    )
    for what, command in trials.items():
        try:
            process.run(["unshare", "--net", "--", *command], stdin=rules)
            yield Check(Level.OK, what)
        except PostrojError as error:
            reason = error.why.strip().splitlines()[0] if error.why.strip() else error.what
            yield Check(
                Level.BAD,
                f"{what} cannot be made: {reason}",
                "modprobe -a veth nf_tables nft_masq nft_redir nft_chain_nat nft_fib_inet",
            )


def _resolver() -> Iterator[Check]:
    """Ask the host's name servers, and say which of them machines ask by way of this host."""
    found = resolver.read()
    for server in found.servers:
        if not resolver.answers(server):
            mend = "start it, or name another in /etc/resolv.conf: without one, packages cannot be downloaded"
            yield Check(Level.NOTE, f"the host's name server {server} does not answer", mend)
        elif found.is_out_of_reach:
            yield Check(Level.OK, f"the host's name server {server}: what machines ask is passed on to it")
        else:
            yield Check(Level.OK, f"the host's name server {server}")


def _firewall() -> Iterator[Check]:
    try:
        chains = process.run(["nft", firewall.LIST_CHAINS])
    except PostrojError:
        return  # said by the trial of nftables
    for table in firewall.dropping(chains):
        yield Check(
            Level.NOTE, f"the firewall rules in `{table}` drop what machines send to the outside", firewall.MEND
        )
    for table in firewall.dropping(chains, hook="input") if resolver.read().is_out_of_reach else ():
        yield Check(
            Level.NOTE, f"the firewall rules in `{table}` drop what machines ask the name server", firewall.MEND_INPUT
        )


def _init() -> Check:
    if machined.is_there():
        return Check(Level.OK, "the host runs systemd and machined: each machine is a unit, and registered")
    if os.path.isdir("/run/systemd/system"):  # sd_booted(3)
        what = "the host runs systemd without machined, D-Bus or cgroup2: machines are not registered"
        return Check(Level.NOTE, what, process.install_hint(["systemd-nspawn"]))
    return Check(Level.OK, "the host does not run systemd, and need not: machines are not registered with machined")


def _space() -> Iterator[Check]:
    for path in dict.fromkeys((images_dir(), downloads_dir())):
        status = os.statvfs(_existing(path))
        free = status.f_bavail * status.f_frsize
        level = Level.OK if free >= _SPACE else Level.BAD
        yield Check(level, f"{free / 1e9:.1f} GB free for {path}", "" if level is Level.OK else "free at least 2 GB")


def _existing(path: str) -> str:
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return path
