"""--network: a machine's own, none, the host's, or one that is shared by name."""

import os
import subprocess
from pathlib import Path

import pytest

from guests import Guest, guest
from moments import until
from netting import CONNECT, IP, NFT, REFUSED, SERVE, guest_with_tools, serving
from support import Run

_HOSTS = Path("/run/postroj/.network-lab/hosts")
_RESOLVE = "getent ahostsv4 $1 | sed -n 's/ .*//p' | sort -u"
_FETCH = "bash -c 'exec 3<>/dev/tcp/$0/$1; cat <&3' \"$@\""


def links() -> set[str]:
    return {name for name in os.listdir("/sys/class/net") if name.startswith("pj-")}


def resolve(one: Guest, name: str) -> str:
    return one.ask(_RESOLVE, name).output.strip()


def fetch(one: Guest, name: str, port: int) -> str:
    return one.ask(_FETCH, name, port).output


# --- one of its own, none, the host's ---


def test_private(bookworm: str, environment: dict[str, str]) -> None:
    """The default."""
    host = os.readlink("/proc/self/ns/net")
    with guest(environment, bookworm) as one, guest(environment, "--network=private", bookworm) as other:
        namespaces = {host, *(os.readlink(f"/proc/{each.leader}/ns/net") for each in (one, other))}
        assert len(namespaces) == 3
        assert len(links()) == 2
        assert one.address() != other.address()


def test_none(bookworm: str, environment: dict[str, str]) -> None:
    with guest(environment, "--network=none", bookworm) as one:
        assert os.readlink(f"/proc/{one.leader}/ns/net") != os.readlink("/proc/self/ns/net")
        assert links() == set()
        assert one.ask("ls /sys/class/net; cat /sys/class/net/lo/carrier") == (0, "lo\n1\n")
        assert one.ask("cat /proc/net/route | tail -n +2; hostname --all-ip-addresses").output.strip() == ""
        for address in ("192.0.2.1", "10.213.0.1"):
            done = one.ask(CONNECT, address, 53)
            assert done.status == REFUSED
            assert "Network is unreachable" in done.output


def test_host(bookworm: str, environment: dict[str, str]) -> None:
    with serving("127.0.0.1") as server, guest(environment, "--network=host", bookworm) as one:
        assert os.readlink(f"/proc/{one.leader}/ns/net") == os.readlink("/proc/self/ns/net")
        assert links() == set()
        assert one.ask(CONNECT, "127.0.0.1", server.port) == (0, "")
        # But it is not for the guest's root to change.
        assert one.ask("echo 1 >/proc/sys/net/ipv4/ip_forward").status != 0
        mine = subprocess.run(["hostname", "--all-ip-addresses"], capture_output=True, text=True, check=True).stdout
        assert one.ask("hostname --all-ip-addresses") == (0, mine)
    with guest(environment, bookworm) as one:
        assert one.ask("hostname --all-ip-addresses").output != mine


def test_guests_root_may_do_all_in_its_own(bookworm: str, environment: dict[str, str]) -> None:
    with guest_with_tools(environment, bookworm) as one:
        own = one.address()
        assert one.ask(f"{IP} link add bridge9 type bridge && {IP} address add 192.168.9.9/24 dev bridge9") == (0, "")
        assert one.ask(f"{IP} link set bridge9 up; {IP} netns 2>&1; hostname --all-ip-addresses").output.split() == [
            own,
            "192.168.9.9",
        ]
        assert one.ask("echo 1 >/proc/sys/net/ipv4/ip_forward && cat /proc/sys/net/ipv4/ip_forward") == (0, "1\n")
        assert one.ask(SERVE, "low", 80) == (0, "")
        assert fetch(one, "192.168.9.9", 80) == "low\n"
        rules = (
            "add table inet mine; add chain inet mine in { type filter hook input priority 0; };"
            " add rule inet mine in tcp dport 80 reject with tcp reset"
        )
        assert one.ask(f"{NFT} '{rules}'") == (0, "")
        assert one.ask(CONNECT, own, 80).status == REFUSED
        tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
        assert "table inet mine" not in tables
        assert "bridge9" not in os.listdir("/sys/class/net")


# --- one that is shared ---


def test_machines_find_each_other_by_name(bookworm: str, environment: dict[str, str]) -> None:
    with (
        guest(environment, "--network=lab", "--name=db", bookworm) as db,
        guest(environment, "--network=lab", "--name=web", bookworm) as web,
        guest(environment, "--network=other", "--name=stranger", bookworm) as stranger,
    ):
        assert db.ask(SERVE, "I am db", 80) == (0, "")
        assert web.ask(SERVE, "I am web", 80) == (0, "")
        for one in (db, web):
            assert resolve(one, "db") == db.address()
            assert resolve(one, "web") == web.address()
            assert resolve(one, "stranger") == ""
            assert fetch(one, "db", 80) == "I am db\n"
            assert fetch(one, "web", 80) == "I am web\n"
            assert resolve(one, "localhost") == "127.0.0.1"
        assert [resolve(stranger, name) for name in ("db", "web")] == ["", ""]
        assert resolve(stranger, "stranger") == stranger.address()

        with guest(environment, "--network=lab", "--name=late", bookworm) as late:
            assert fetch(late, "db", 80) == "I am db\n"
            assert resolve(db, "late") == late.address()
            left = late.address()
        assert resolve(db, "late") == ""
        assert left not in _HOSTS.read_text()

        assert web.leave() == (0, "")
        assert resolve(db, "web") == ""
        assert resolve(db, "db") == db.address()
        assert _HOSTS.exists()
    assert not _HOSTS.parent.exists()


def test_machine_that_is_killed_is_forgotten(bookworm: str, environment: dict[str, str]) -> None:
    """By the next that boots, on whatever network."""
    with guest(environment, "--network=lab", "--name=db", bookworm) as db:
        with guest(environment, "--network=lab", "--name=web", bookworm) as web:
            interfaces = links()
            web.process.kill()
            web.process.wait()
        until(lambda: links() < interfaces, "the kernel has removed its link", 10)
        with guest(environment, "--network=lab", "--name=new", bookworm) as new:
            assert resolve(db, "web") == ""
            assert resolve(db, "new") == new.address()
    assert not _HOSTS.parent.exists()


@pytest.mark.parametrize("options", [(), ("--privileged",)], ids=["by default", "privileged"])
def test_hosts_of_the_network_are_not_for_a_guest_to_change(
    options: tuple[str, ...], bookworm: str, environment: dict[str, str]
) -> None:
    """Or it could send the others wherever it likes; only who is privileged can."""
    script = "mount -o remount,bind,rw /etc/hosts; echo '192.0.2.9 db' >>/etc/hosts"
    with (
        guest(environment, "--network=lab", "--name=db", bookworm) as db,
        guest(environment, "--network=lab", *options, bookworm) as one,
    ):
        before = _HOSTS.read_text()
        done = one.ask(script)
        changed = _HOSTS.read_text() != before
        assert changed == bool(options), done
        assert ("192.0.2.9" in db.ask("cat /etc/hosts").output) == bool(options)


@pytest.mark.once
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--network=Lab"], "'Lab' cannot be a network"),
        (["--network="], "'' cannot be a network"),
        (["--network=../etc"], "'../etc' cannot be a network"),
        (["--network=lab\n"], "cannot be a network"),
        ([f"--network={'x' * 33}"], "cannot be a network"),
        (
            ["--network=none", "--publish=8080:80"],
            "--publish needs a private network, and there is none with --network=",
        ),
        (
            ["--network=host", "--publish=8080:80"],
            "--publish needs a private network, and there is none with --network=",
        ),
    ],
)
def test_networks_that_cannot_be(words: list[str], sentence: str, bookworm: str, postroj: Run) -> None:
    done = postroj("run", *words, bookworm, "true")
    assert (done.returncode, done.stdout) == (125, "")
    assert sentence in done.stderr.splitlines()[0] + done.stderr
    done = postroj("pkgprobe", f"--image={bookworm}", *words, "--check-unit=dbus")
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
