"""Other people's firewall rules on this host: they are left alone, and may keep machines from the outside.

A packet that our table accepts is dropped all the same where another table drops it: nft(8), VERDICT STATEMENTS. Rules
of the old iptables (iptables-legacy) are not seen by nft, and so not here.
"""

import re

from postroj import process
from postroj.container.host.slot import PREFIX, SUBNET
from postroj.errors import ToolError

LIST_CHAINS = ["nft", "list", "chains"]
OURS = "inet postroj"

_TABLE = re.compile(r"^table (?P<table>(?:ip|inet) \S+) \{$(?P<chains>.*?)^\}$", re.MULTILINE | re.DOTALL)
_DROPS = re.compile(r"hook forward [^\n]*policy drop")
# Whose last rule rejects, with a policy that accepts.
_KNOWN = {"inet firewalld"}

MEND = (
    f"let them pass there: with Docker `iptables -I DOCKER-USER -i {PREFIX}+ -j ACCEPT` and the same with -o; with ufw"
    f" `iptables -I ufw-user-forward -i {PREFIX}+ -j ACCEPT` and the same with -o; with firewalld"
    f" `firewall-cmd --zone=trusted --add-source={SUBNET}`"
)


def dropping(chains: str) -> list[str]:
    """The tables, of what LIST_CHAINS prints, that drop what machines send, unless a rule in them names machines."""
    found = []
    for match in _TABLE.finditer(chains):
        table = match["table"]
        if table != OURS and (_DROPS.search(match["chains"]) or table in _KNOWN) and not _knows_machines(table):
            found.append(table)
    return found


def _knows_machines(table: str) -> bool:
    try:
        rules = process.run(["nft", "list", "table", *table.split()])
    except ToolError:  # gone meanwhile
        return True
    return PREFIX in rules or SUBNET in rules
