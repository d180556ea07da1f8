"""Names resolve in guests whatever the host's name server is, also one that listens on the host's loopback only."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from guests import Guest
from moments import started
from netting import CONNECT, KNOCK, SILENCE
from own_network import own_network
from support import POSTROJ, STATE, Run

pytestmark = pytest.mark.once

_BY_UDP = "getent ahostsv4 served.test"
_BY_TCP = "echo options use-vc >>/etc/resolv.conf; getent ahostsv4 served.test"  # resolv.conf(5)

_ASK = (
    "import sys; from postroj.container.network.resolver import answers; print(answers(sys.argv[1], int(sys.argv[2])))"
)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.11", "::1"])
def test_a_name_server_on_loopback(tmp_path: Path, environment: dict[str, str], bookworm: str, address: str) -> None:
    with own_network(tmp_path, address) as network:
        network.name_server(address)
        for words in (["sh", "-c", _BY_UDP], ["sh", "-c", _BY_TCP]):
            done = network.postroj("run", bookworm, *words, env=environment)
            assert done.stdout.startswith("192.0.2.7 "), done.stdout + done.stderr


def test_without_a_boot(tmp_path: Path, environment: dict[str, str], bookworm: str) -> None:
    with own_network(tmp_path, "127.0.0.1") as network:
        network.name_server("127.0.0.1")
        done = network.postroj("run", "--no-boot", bookworm, "sh", "-c", _BY_UDP, env=environment)
        assert done.stdout.startswith("192.0.2.7 "), done.stdout + done.stderr


def test_in_a_tree_that_is_provisioned(tmp_path: Path, bookworm: str, environment: dict[str, str]) -> None:
    """What a pull does to a tree, without the pull."""
    tree = tmp_path / "tree"
    subprocess.run(["cp", "--archive", Path(STATE, "images", bookworm).resolve(), tree], check=True)
    code = "import sys; from postroj.container.tree import run_in_tree"
    code += "; print(*run_in_tree(sys.argv[1], sys.argv[2:], name='tree'))"
    with own_network(tmp_path, "127.0.0.1") as network:
        network.name_server("127.0.0.1")
        told = network.run(sys.executable, "-c", code, tree, "sh", "-c", _BY_UDP)
    assert told.startswith("0 192.0.2.7 ")
    assert not (tree / "etc/resolv.conf").exists()


def test_with_the_hosts_network(tmp_path: Path, environment: dict[str, str], bookworm: str) -> None:
    with own_network(tmp_path, "127.0.0.1") as network:
        network.name_server("127.0.0.1")
        done = network.postroj("run", "--network=host", bookworm, "sh", "-c", _BY_UDP, env=environment)
        assert done.stdout.startswith("192.0.2.7 "), done.stdout + done.stderr


def test_the_next_name_server_is_asked(tmp_path: Path, environment: dict[str, str], bookworm: str) -> None:
    with own_network(tmp_path, "127.0.0.1", "127.0.0.11") as network:
        network.name_server("127.0.0.11")
        for script in (_BY_UDP, _BY_TCP):
            done = network.postroj("run", bookworm, "sh", "-c", script, env=environment)
            assert done.stdout.startswith("192.0.2.7 "), done.stdout + done.stderr


def test_a_name_server_on_all_addresses_that_answers_loopback_only(
    tmp_path: Path, environment: dict[str, str], bookworm: str
) -> None:
    """Which has taken the port of the address that a guest asks."""
    with own_network(tmp_path, "127.0.0.1") as network:
        network.name_server("", "--interface=lo")
        for script in (_BY_UDP, _BY_TCP):
            done = network.postroj("run", bookworm, "sh", "-c", script, env=environment)
            assert done.stdout.startswith("192.0.2.7 "), done.stdout + done.stderr


def test_a_guest_serves_names_itself(tmp_path: Path, environment: dict[str, str], bookworm: str) -> None:
    """The port of DNS is the guest's to listen on: a name server may be what is under test."""
    script = 'perl -MIO::Socket::INET -e "$1" && getent ahostsv4 served.test'
    listen = (
        'IO::Socket::INET->new(LocalAddr => "0.0.0.0", LocalPort => 53, Proto => "udp") or die $!;'
        'IO::Socket::INET->new(LocalAddr => "0.0.0.0", LocalPort => 53, Listen => 5) or die $!;'
    )
    with own_network(tmp_path, "127.0.0.1") as network:
        network.name_server("127.0.0.1")
        done = network.postroj("run", bookworm, "sh", "-c", script, "sh", listen, env=environment)
        assert done.stdout.startswith("192.0.2.7 "), done.stdout + done.stderr


def test_nobody_but_the_guest_is_answered(tmp_path: Path, environment: dict[str, str], bookworm: str) -> None:
    """Neither the host's own processes, nor another guest, at the port where the first guest's queries go."""
    with own_network(tmp_path, "127.0.0.1") as network:
        network.name_server("127.0.0.1")
        words = network.inside(POSTROJ, "run", bookworm, "sh")
        with started(words, environment, stdin=subprocess.PIPE) as process:
            first = Guest(process)
            assert first.ask(_BY_UDP).status == 0
            rules = network.run("nft", "list", "table", "inet", "postroj")
            found = re.search(r"ip daddr (\S+) tcp dport 53 redirect to :(\d+)", rules)
            assert found, rules
            address, port = found.groups()
            assert first.ask(CONNECT, address, port).status == 0
            assert network.run(sys.executable, "-c", _ASK, "127.0.0.1", "53") == "True\n"
            assert network.run(sys.executable, "-c", _ASK, address, port) == "False\n"
            done = network.postroj("run", bookworm, "sh", "-c", KNOCK, "sh", address, port, env=environment)
            assert done.returncode == SILENCE, done.stderr
            first.leave()


def test_the_rules_are_gone_with_the_machine(tmp_path: Path, environment: dict[str, str], bookworm: str) -> None:
    with own_network(tmp_path, "127.0.0.1") as network:
        assert network.postroj("run", bookworm, "true", env=environment).returncode == 0
        assert "postroj" not in network.run("nft", "list", "tables")


@pytest.mark.parametrize(
    ("serves", "told"),
    [
        (True, "ok    the host's name server 127.0.0.1: what machines ask is passed on to it\n"),
        (False, "note  the host's name server 127.0.0.1 does not answer\n"),
    ],
)
def test_doctor_tells(tmp_path: Path, environment: dict[str, str], serves: bool, told: str) -> None:
    with own_network(tmp_path, "127.0.0.1") as network:
        if serves:
            network.name_server("127.0.0.1")
        done = network.postroj("doctor", env=environment)
        assert told in done.stdout, done.stdout + done.stderr


def test_a_host_whose_name_server_is_elsewhere(postroj: Run, bookworm: str) -> None:
    """It is asked directly: no relay, no rule."""
    done = postroj("run", bookworm, "cat", "/etc/resolv.conf")
    assert done.stdout == Path("/etc/resolv.conf").read_text()
