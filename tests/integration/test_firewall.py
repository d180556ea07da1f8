"""postroj's table of nftables: the same however many machines there are, and in nobody's way."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from guests import guest
from netting import CONNECT, KNOCK, REFUSED, SILENCE, empty, host_address, serving, table

_FOREIGN = """
table inet somebodys {
    set addresses { type ipv4_addr; elements = { 192.0.2.1, 192.0.2.2 } }
    map ports { type inet_service : verdict; elements = { 22 : accept } }
    chain in { type filter hook input priority -10; policy accept; tcp dport vmap @ports; }
    chain out { type filter hook output priority 5; policy accept; ip daddr @addresses counter comment "mine"; }
    chain unused { drop; }
}
table ip somebodys {
    chain source { type nat hook postrouting priority 90; policy accept; ip saddr 198.51.100.0/24 masquerade; }
}
"""
# Before and after the place of postroj's own.
_ACCEPTS_EVERYTHING = """
table inet somebodys {
    chain in { type filter hook input priority -10; policy accept; accept; }
    chain forward { type filter hook forward priority -10; policy accept; accept; }
    chain in2 { type filter hook input priority 10; policy accept; accept; }
    chain forward2 { type filter hook forward priority 10; policy accept; accept; }
}
"""


def nft(*words: str, rules: str = "") -> str:
    return subprocess.run(["nft", *words], input=rules, capture_output=True, text=True, check=True).stdout


@contextmanager
def rules_of_somebody(rules: str) -> Iterator[None]:
    nft("-f", "-", rules=rules)
    try:
        yield
    finally:
        for line in nft("list", "tables").splitlines():
            if line.endswith(" somebodys"):
                nft("delete", *line.split())


def foreign() -> str:
    """All rules that are not postroj's, as bytes are; without counts, which traffic changes."""
    tables = [line for line in nft("list", "tables").splitlines() if line != "table inet postroj"]
    return "".join(nft("--stateless", "list", *line.split()) for line in tables)


def test_other_tables_are_left_alone(bookworm: str, environment: dict[str, str]) -> None:
    with rules_of_somebody(_FOREIGN):
        before = foreign()
        assert 'comment "mine"' in before
        with guest(environment, bookworm):
            assert foreign() == before
            with guest(environment, "--network=lab", bookworm):
                assert foreign() == before
            assert foreign() == before
        assert foreign() == before


def test_table_is_the_same_for_one_as_for_three(bookworm: str, environment: dict[str, str]) -> None:
    with guest(environment, bookworm):
        first = table("inet postroj")
        with guest(environment, bookworm), guest(environment, bookworm):
            assert table("inet postroj") == first
            with guest(environment, "--network=lab", bookworm), guest(environment, "--network=lab", bookworm):
                assert table("inet postroj") != first
        assert table("inet postroj") == first
    assert "inet postroj" not in nft("list", "tables")


def test_table_that_somebody_has_removed_or_changed(bookworm: str, environment: dict[str, str]) -> None:
    """Comes back with the next machine; and a machine ends without it."""
    with guest(environment, bookworm):
        first = table("inet postroj")
        nft("delete", "table", "inet", "postroj")
        with guest(environment, bookworm):
            assert table("inet postroj") == first
            nft("add", "rule", "inet", "postroj", "input", "accept")
            with guest(environment, bookworm):
                assert table("inet postroj") == first
        nft("delete", "table", "inet", "postroj")


@pytest.mark.parametrize("rules", ["", _ACCEPTS_EVERYTHING], ids=["there are no others", "others accept everything"])
def test_rules_hold_whatever_others_accept(rules: str, bookworm: str, environment: dict[str, str]) -> None:
    """Who reaches a machine on which nobody listens is told so."""
    with (
        rules_of_somebody(rules),
        serving("0.0.0.0") as server,
        guest(environment, bookworm) as one,
        guest(environment, bookworm) as other,
    ):
        assert one.ask(KNOCK, other.address(), 80).status == SILENCE
        assert one.ask(KNOCK, host_address(one), server.port).status == SILENCE
        empty("forward", "input")
        assert one.ask(CONNECT, other.address(), 80).status == REFUSED
        assert one.ask(CONNECT, host_address(one), server.port).status == 0
