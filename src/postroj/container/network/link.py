"""A machine's private network: a veth pair of its own, a static address, and NAT to the outside.

The kernel removes the host's end with the guest's network namespace. All rules stand in one nftables table, `inet
postroj`, which the last machine takes with it.
"""

import os
from collections.abc import Sequence
from contextlib import suppress

from postroj import process
from postroj.container.host.slot import PREFIX, SUBNET, Slot, lock_orphans, lock_runtime_dir
from postroj.container.host.sysctl import FORWARDING
from postroj.container.network import firewall, neighbours, shared
from postroj.container.network.relay import Relay, note, ways
from postroj.errors import HostError, ToolError
from postroj.events import Warn, emit

_IP = ["ip", "-batch", "-"]
_APPLY = ["nft", "-f", "-"]
_DELETE_TABLE = ["nft", "delete", "table", "inet", "postroj"]

# Guests reach the outside, and of the host itself only its name server; they reach each other only on a network that
# they share, under no address but their own, and nobody outside reaches them. The MTU of the way out, small in a VPN,
# bounds their TCP segments: ICMP that would tell them of it may be filtered.
_RULES = """
table inet postroj
flush table inet postroj
table inet postroj {{
    chain prerouting {{
        type filter hook prerouting priority -300; policy accept;
        iifname "{prefix}*" meta nfproto ipv6 drop
        iifname "{prefix}*" fib saddr . iif oif missing drop
    }}
    {names}
    chain postrouting {{
        type nat hook postrouting priority 100; policy accept;
        ip saddr {subnet} oifname != "{prefix}*" masquerade
    }}
    chain forward {{
        type filter hook forward priority 0; policy accept;
        iifname "{prefix}*" tcp flags syn tcp option maxseg size set rt mtu
        oifname "{prefix}*" tcp flags syn tcp option maxseg size set rt mtu
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
        {ways}
        drop
    }}
}}
"""
# Forwarding is turned on for machines; a host that did not forward before does not begin to for its neighbours.
_CLOSED = 'iifname != "{prefix}*" oifname != "{prefix}*" drop'


# What a guest asks the name server at the host's end of its link goes to the port of its relay.
_NAMES = """chain names {{
        type nat hook prerouting priority -100; policy accept;
        {redirects}
    }}"""
_REDIRECT = 'iifname "{interface}" ip daddr {address} {protocol} dport 53 redirect to :{port}'
_WAY = 'iifname "{interface}" ip daddr {address} {protocol} dport {port} accept'


def attach(slot: Slot, namespace: int, relays: Sequence[Relay] = ()) -> None:
    """Give a network namespace, a descriptor, a link to the outside, and start its relays. Raises HostError."""
    pid = os.getpid()
    enter = ["nsenter", f"--net=/proc/{pid}/fd/{namespace}", "--"]
    guest = f"link add eth0 type veth peer name {slot.interface} netns {pid}\n"
    guest += f"address add {slot.guest_address}/30 dev eth0\nlink set eth0 up\n"
    guest += f"route add default via {slot.host_address}\n"
    host = f"address add {slot.host_address}/30 dev {slot.interface}\nlink set {slot.interface} up\n"
    if os.path.exists("/proc/sys/net/ipv6"):  # no IPv6 address: nothing here forwards it
        host = f"link set {slot.interface} addrgenmode none\n" + host
    try:
        with lock_runtime_dir(), neighbours.apart():
            kept = neighbours.kept()
            FORWARDING.ensure(0 if kept.was_closed else None)
            note(slot, relays)
            _, listed = process.run_together(([*enter, *_IP], guest), (_APPLY, _rules(kept) + firewall.LIST_CHAINS))
            for relay in relays:
                relay.start()
            process.run(_IP, stdin=host)  # only now, with the rules in place, is it up
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
    for table in firewall.dropping(listed, hook="input") if relays else ():
        emit(
            Warn(
                f"the machine may not reach this host's name server or proxy: the firewall rules in `{table}` drop what"
                f" it sends to this host; {firewall.MEND_INPUT}"
            )
        )


def detach(slot: Slot) -> None:
    """Remove a link, and with the last link what all share. Either may be gone already."""
    with lock_runtime_dir(), neighbours.apart():
        # Interfaces are what counts: a postroj with a /run of its own may share this network namespace.
        last = neighbours.interfaces() <= {slot.interface}
        commands = [(["ip", "link", "delete", slot.interface], "")]
        if last:
            commands.append((_DELETE_TABLE, ""))
        elif shared.is_member(slot):
            commands.append((_APPLY, _rules(neighbours.kept(), without=slot)))
        with suppress(ToolError):  # at once: whoever is on the link is dead already
            process.run_together(*commands)
        if last:
            FORWARDING.restore()


def sweep() -> list[str]:
    """Remove the links of killed machines, and with the last link what all share; the names of the links."""
    removed = []
    for slot in lock_orphans():
        if slot.is_everywhere:
            detach(slot)
            removed.append(slot.interface)
        slot.release()
    shared.sweep()
    if FORWARDING.is_noted():
        with lock_runtime_dir(), neighbours.apart():
            if not neighbours.interfaces():
                with suppress(ToolError):
                    process.run(_DELETE_TABLE)
                FORWARDING.restore()
    return removed


def _rules(kept: neighbours.Kept, *, without: Slot | None = None) -> str:
    groups = [", ".join(f'"{slot.interface}"' for slot in group) for group in shared.groups(without=without)]
    together = [*kept.together, *(f"iifname {{ {group} }} oifname {{ {group} }} accept" for group in groups)]
    return _RULES.format(
        subnet=SUBNET,
        prefix=PREFIX,
        together="".join(f"{line}\n        " for line in together),
        closed=_CLOSED.format(prefix=PREFIX) if FORWARDING.before() == 0 else "",
        **_relay_rules(kept),
    )


def _relay_rules(kept: neighbours.Kept) -> dict[str, str]:
    redirects, accepts = [*kept.redirects], [*kept.ways]
    for slot, port, is_dns in ways():
        for protocol in ("tcp", "udp") if is_dns else ("tcp",):
            words = {"interface": slot.interface, "address": slot.host_address, "protocol": protocol, "port": port}
            accepts.append(_WAY.format(**words))
            if is_dns:
                redirects.append(_REDIRECT.format(**words))
    lines = "\n        "
    names = _NAMES.format(redirects=lines.join(redirects)) if redirects else ""
    return {"names": names, "ways": lines.join(accepts)}
