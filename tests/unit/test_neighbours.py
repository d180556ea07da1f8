"""Rules of machines whose postroj has another /run, as nft lists them; and numbers that another process has."""

import os
import socket
import subprocess
import sys

import pytest

from postroj.container.host import slot
from postroj.container.network import neighbours

_TABLE = """table inet postroj {
	chain names {
		type nat hook prerouting priority dstnat; policy accept;
		iifname "pj-1" ip daddr 10.213.0.5 tcp dport 53 redirect to :40001
		iifname "pj-3" ip daddr 10.213.0.13 udp dport 53 redirect to :40003
	}
	chain forward {
		type filter hook forward priority filter; policy accept;
		iifname "pj-*" tcp flags syn tcp option maxseg size set rt mtu
		iifname { "pj-1", "pj-2" } oifname { "pj-1", "pj-2" } accept
		iifname { "pj-3", "pj-4" } oifname { "pj-3", "pj-4" } accept
		iifname "pj-5" oifname "pj-5" accept
		iifname "pj-*" oifname "pj-*" drop
		iifname != "pj-*" oifname != "pj-*" drop
	}
	chain input {
		iifname != "pj-*" accept
		udp dport 53 accept
		iifname "pj-1" ip daddr 10.213.0.5 tcp dport 40001 accept
		iifname "pj-3" ip daddr 10.213.0.13 udp dport 40003 accept
		drop
	}
}
"""


def test_rules_of_others_are_kept() -> None:
    kept = neighbours.read(_TABLE, {"pj-3", "pj-4", "pj-5", "pj-30"})
    assert kept == neighbours.Kept(
        ('iifname "pj-3" ip daddr 10.213.0.13 udp dport 53 redirect to :40003',),
        (
            'iifname { "pj-3", "pj-4" } oifname { "pj-3", "pj-4" } accept',
            'iifname "pj-5" oifname "pj-5" accept',
        ),
        ('iifname "pj-3" ip daddr 10.213.0.13 udp dport 40003 accept',),
        True,
    )


def test_rules_of_those_that_are_gone_are_not() -> None:
    assert neighbours.read(_TABLE, {"pj-2", "pj-3"}).together == ()
    assert neighbours.read("", {"pj-2"}) == neighbours.Kept()


_HOLD = "from postroj.container.host import slot; held = slot._bound(1023); print('up', flush=True); input()"


@pytest.mark.skipif(os.geteuid() != 0, reason="a port below 1024 is root's")
def test_a_number_is_one_process_s_until_it_ends() -> None:
    with subprocess.Popen([sys.executable, "-c", _HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"up\n"
        assert slot._bound(1023) is None
        holder.kill()
    with slot._bound(1023) or socket.socket() as port:
        assert port.getsockname() == ("10.213.15.253", 4)
