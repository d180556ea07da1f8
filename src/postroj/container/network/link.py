"""A machine's private network: a veth pair of its own, a static address, and NAT to the outside.

The kernel removes the host's end with the guest's network namespace. All rules stand in one nftables table, `inet
postroj`, which the last machine takes with it.
"""

import os
from contextlib import suppress

from postroj import process
from postroj.container.host.slot import PREFIX, SUBNET, Slot, lock_orphans, lock_runtime_dir
from postroj.container.host.sysctl import FORWARDING
from postroj.container.network import firewall, shared
from postroj.errors import HostError, ToolError
from postroj.events import Warn, emit

_IP = ["ip", "-batch", "-"]
_APPLY = ["nft", "-f", "-"]
_DELETE_TABLE = ["nft", "delete", "table", "inet", "postroj"]

# Guests reach the outside, and of the host itself only its name server; they reach each other only on a network that
# they share, under no address but their own, and nobody outside reaches them.
_RULES = """
table inet postroj
flush table inet postroj
table inet postroj {{
    chain prerouting {{
        type filter hook prerouting priority -300; policy accept;
        iifname "{prefix}*" meta nfproto ipv6 drop
        iifname "{prefix}*" fib saddr . iif oif missing drop
    }}
    chain postrouting {{
        type nat hook postrouting priority 100; policy accept;
        ip saddr {subnet} oifname != "{prefix}*" masquerade
    }}
    chain forward {{
        type filter hook forward priority 0; policy accept;
        {together}iifname "{prefix}*" oifname "{prefix}*" drop
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


def attach(slot: Slot, namespace: int) -> None:
    """Give a network namespace, a descriptor, a link to the outside. Raises HostError."""
    pid = os.getpid()
    enter = ["nsenter", f"--net=/proc/{pid}/fd/{namespace}", "--"]
    link = f"link add eth0 type veth peer name {slot.interface} netns {pid}\n"
    host = f"address add {slot.host_address}/30 dev {slot.interface}\nlink set {slot.interface} up\n"
    if os.path.exists("/proc/sys/net/ipv6"):  # no IPv6 address: nothing here forwards it
        host = f"link set {slot.interface} addrgenmode none\n" + host
    guest = f"address add {slot.guest_address}/30 dev eth0\nlink set eth0 up\n"
    guest += f"route add default via {slot.host_address}\n"
    try:
        with lock_runtime_dir():
            FORWARDING.ensure()
            _, _, listed = process.run_together(([*enter, *_IP], link), (_APPLY, _rules()), (firewall.LIST_CHAINS, ""))
            # Only now, with the rules in place, is it up.
            process.run_together((_IP, host), ([*enter, *_IP], guest))
    except BaseException as error:
        detach(slot)
        if not isinstance(error, (ToolError, OSError)):
            raise
        why = error.why if isinstance(error, ToolError) else str(error)
        hint = "run `postroj doctor` to see what this host lacks"
        raise HostError("the machine's private network cannot be set up", why=why, hint=hint) from error
    for table in firewall.dropping(listed):
        emit(
            Warn(
                f"the machine may not reach the outside: the firewall rules in `{table}` drop what it sends; "
                + firewall.MEND
            )
        )


def detach(slot: Slot) -> None:
    """Remove a link, and with the last link what all share. Either may be gone already."""
    with lock_runtime_dir():
        # Interfaces are what counts: a postroj with a /run of its own may share this network namespace.
        last = _interfaces() <= {slot.interface}
        commands = [(["ip", "link", "delete", slot.interface], "")]
        if last:
            commands.append((_DELETE_TABLE, ""))
        elif shared.is_member(slot):
            commands.append((_APPLY, _rules(without=slot)))
        with suppress(ToolError):  # at once: whoever is on the link is dead already
            process.run_together(*commands)
        if last:
            FORWARDING.restore()


def sweep() -> list[str]:
    """Remove the links of killed machines, and with the last link what all share; the names of the links."""
    removed = []
    for slot in lock_orphans():
        detach(slot)
        slot.release()
        removed.append(slot.interface)
    shared.sweep()
    if FORWARDING.is_noted():
        with lock_runtime_dir():
            if not _interfaces():
                with suppress(ToolError):
                    process.run(_DELETE_TABLE)
                FORWARDING.restore()
    return removed


def _rules(*, without: Slot | None = None) -> str:
    together = [", ".join(f'"{slot.interface}"' for slot in group) for group in shared.groups(without=without)]
    return _RULES.format(
        subnet=SUBNET,
        prefix=PREFIX,
        together="".join(f"iifname {{ {group} }} oifname {{ {group} }} accept\n        " for group in together),
        closed=_CLOSED.format(prefix=PREFIX) if FORWARDING.before() == 0 else "",
    )


def _interfaces() -> set[str]:
    return {name for name in os.listdir("/sys/class/net") if name.startswith(PREFIX)}
