"""A machine's private network: a veth pair of its own, a static address, and NAT to the outside.

Links are numbered; the host's end of link N is the interface pj-N, and the lock on /run/postroj/.link-N says whether a
living machine owns it. The kernel removes the interface with the guest's network namespace. All rules stand in one
nftables table, `inet postroj`, which the last machine takes with it.
"""

import os
from contextlib import suppress

from postroj import locks, process
from postroj.errors import HostError, ToolError
from postroj.settings import RUNTIME_DIR

_PREFIX = "pj-"
_SUBNET = "10.213.0.0/16"
_LINKS = 1 << 14  # a /30 each
_FORWARD = "/proc/sys/net/ipv4/ip_forward"
_CLAIM = ".link-"
_MARK = os.path.join(RUNTIME_DIR, ".network")
"""Says that the table is (or may be) there; holds what ip_forward was before."""

_DELETE_TABLE = ["nft", "delete", "table", "inet", "postroj"]

# Guests reach the outside, and of the host itself only its name server; they do not reach each other, and nobody
# outside reaches them.
_RULES = """
table inet postroj
flush table inet postroj
table inet postroj {{
    chain postrouting {{
        type nat hook postrouting priority 100; policy accept;
        ip saddr {subnet} oifname != "{prefix}*" masquerade
    }}
    chain forward {{
        type filter hook forward priority 0; policy accept;
        iifname "{prefix}*" oifname "{prefix}*" drop
        oifname "{prefix}*" ct state != {{ established, related }} drop
        {closed}
    }}
    chain input {{
        type filter hook input priority 0; policy accept;
        iifname != "{prefix}*" accept
        ct state established,related accept
        udp dport 53 accept
        tcp dport 53 accept
        icmp type echo-request accept
        drop
    }}
}}
"""
# Forwarding is turned on for machines; a host that did not forward before does not begin to for its neighbours.
_CLOSED = 'iifname != "{prefix}*" oifname != "{prefix}*" drop'


class Link:
    """One machine's link to the host, its own while the lock is held."""

    def __init__(self, number: int, lock: locks.DirectoryLock) -> None:
        self.interface = f"{_PREFIX}{number}"
        self.host_address = _address(number, 1)
        self.guest_address = _address(number, 2)
        self._lock = lock

    def detach(self) -> None:
        """Remove the link, and with the last link what all share. Either may be gone already."""
        with _shared():
            commands = [["ip", "link", "delete", self.interface]]
            # Interfaces are counted as well: a postroj with a /run of its own may share this network namespace.
            last = _claimed() == [os.path.basename(self._lock.path)] and _interfaces() <= {self.interface}
            if last:
                commands.append(_DELETE_TABLE)
            with suppress(ToolError):
                process.run_together(*((command, "") for command in commands))
            if last:
                _restore_forwarding()
            os.rmdir(self._lock.path)  # last: until then a kill leaves something that the sweep finds
            self._lock.release()


def attach(pid: int) -> Link:
    """Give the network namespace of the process `pid` a link to the outside. Raises HostError."""
    link = _claim()
    try:
        host = f"link add {link.interface} type veth peer name eth0 netns {pid}\n"
        # No IPv6 address: nothing here filters or forwards it.
        host += f"link set {link.interface} addrgenmode none\n"
        host += f"address add {link.host_address}/30 dev {link.interface}\nlink set {link.interface} up\n"
        guest = f"address add {link.guest_address}/30 dev eth0\nlink set eth0 up\n"
        guest += f"route add default via {link.host_address}\n"
        with _shared():
            _enable_forwarding()
            process.run_together((["nft", "-f", "-"], _rules()), (["ip", "-batch", "-"], host))
        process.run(["nsenter", f"--net=/proc/{pid}/ns/net", "--", "ip", "-batch", "-"], stdin=guest)
    except BaseException as error:
        link.detach()
        if not isinstance(error, ToolError):
            raise
        hint = "run `postroj doctor` to see what this host lacks"
        raise HostError("the machine's private network cannot be set up", why=error.why, hint=hint) from error
    return link


def sweep() -> None:
    """Remove the links of killed machines, and with the last link what all share."""
    for name in _claimed():
        lock = locks.lock_directory(os.path.join(RUNTIME_DIR, name), wait=False)
        if lock:
            Link(int(name.removeprefix(_CLAIM)), lock).detach()
    if os.path.exists(_MARK):
        with _shared():
            if not _claimed() and not _interfaces():
                with suppress(ToolError):
                    process.run(_DELETE_TABLE)
                _restore_forwarding()


def _address(number: int, last: int) -> str:
    offset = number * 4 + last
    return f"10.213.{offset >> 8}.{offset & 255}"


def _rules() -> str:
    closed = _CLOSED.format(prefix=_PREFIX) if _forwarded_before() == "0" else ""
    return _RULES.format(subnet=_SUBNET, prefix=_PREFIX, closed=closed)


def _claim() -> Link:
    interfaces = _interfaces()
    for number in range(_LINKS):
        # An interface without an owner is a killed machine's, on its way out: the next number is free sooner.
        if f"{_PREFIX}{number}" in interfaces:
            continue
        lock = locks.lock_directory(os.path.join(RUNTIME_DIR, f"{_CLAIM}{number}"), create=True, wait=False)
        if lock:
            return Link(number, lock)
    raise HostError(f"all {_LINKS} network links are in use")


def _interfaces() -> set[str]:
    return {name for name in os.listdir("/sys/class/net") if name.startswith(_PREFIX)}


def _claimed() -> list[str]:
    try:
        return [name for name in os.listdir(RUNTIME_DIR) if name.startswith(_CLAIM)]
    except FileNotFoundError:
        return []


def _shared() -> locks.DirectoryLock:
    lock = locks.lock_directory(RUNTIME_DIR, create=True)
    assert lock is not None  # it is only None without `wait` or `create`
    return lock


def _enable_forwarding() -> None:
    if os.path.exists(_MARK):
        return
    with open(_FORWARD) as file:
        before = file.read().strip()
    # The mark comes first: a kill in between leaves one too many, which the sweep takes back, never one too few.
    _write(_MARK, before)
    if before == "0":
        _write(_FORWARD, "1")


def _restore_forwarding() -> None:
    with suppress(FileNotFoundError):
        if _forwarded_before() == "0":
            _write(_FORWARD, "0")
        os.unlink(_MARK)


def _forwarded_before() -> str:
    with open(_MARK) as file:
        return file.read().strip()


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)
