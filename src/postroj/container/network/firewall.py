"""Other people's firewall rules on this host: they are left alone, and may keep machines from the outside.

A packet that our table accepts is dropped all the same where another table drops it: nft(8), VERDICT STATEMENTS. Rules
of the old iptables (iptables-legacy) are not seen by nft, and so not here.
"""

import re

from postroj import process
from postroj.container.host.slot import PREFIX, SUBNET
from postroj.errors import ToolError

LIST_CHAINS = "list chains\n"
"""A command for nft."""
OURS = "inet postroj"

_TABLE = re.compile(r"^table (?P<table>(?:ip|inet) \S+) \{$(?P<chains>.*?)^\}$", re.MULTILINE | re.DOTALL)
_DROPS = {hook: re.compile(rf"hook {hook} [^\n]*policy drop") for hook in ("forward", "input")}
# Whose last rule rejects, with a policy that accepts.
_KNOWN = {"inet firewalld"}

MEND = (
    f"let them pass there: with Docker `iptables -I DOCKER-USER -i {PREFIX}+ -j ACCEPT` and the same with -o; with ufw"
    f" `iptables -I ufw-user-forward -i {PREFIX}+ -j ACCEPT` and the same with -o; with firewalld"
    f" `firewall-cmd --zone=trusted --add-source={SUBNET}`"
)
MEND_INPUT = (
    f"let it in: with ufw `ufw allow in on {PREFIX}+`; with iptables `iptables -I INPUT -i {PREFIX}+ -j ACCEPT`; with"
    f" firewalld `firewall-cmd --zone=trusted --add-source={SUBNET}`"
)


def dropping(chains: str, *, hook: str = "forward") -> list[str]:
    """The tables, of what LIST_CHAINS prints, that drop what machines send, unless a rule in them names machines.

    `hook` is `forward` for what they send to the outside, and `input` for what they send to this host.
    """
    found = []
    for match in _TABLE.finditer(chains):
        table = match["table"]
        if table != OURS and (_DROPS[hook].search(match["chains"]) or table in _KNOWN) and not _knows_machines(table):
            found.append(table)
    return found


def _knows_machines(table: str) -> bool:
    try:
        rules = process.run(["nft", "list", "table", *table.split()])
    except ToolError:  # gone meanwhile
        return True
    return PREFIX in rules or SUBNET in rules
