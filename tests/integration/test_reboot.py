"""A machine reboots: what it has written is there again, what a boot has is new, and all that is asked of it works."""

import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import controllers
from booted import add_unit, ask, booted, soon
from moments import started, until
from postroj.container import Bind, Container, Options
from postroj.container.options import Publish
from postroj.deadline import Deadline
from postroj.errors import DeadlineError, MachineLostError, RebootError
from postroj.events import Event, Warn, subscribed
from residue import Residue
from support import Run
from test_publish import free_port

_COUNTING = """[Service]
Type=oneshot
ExecStart=/bin/sh -c 'echo booted >>/var/lib/boots'
[Install]
WantedBy=multi-user.target
"""
_GREETING_SOCKET = "[Socket]\nListenStream=80\nAccept=yes\n[Install]\nWantedBy=sockets.target\n"
_GREETING = "[Service]\nExecStart=/bin/echo guest\nStandardOutput=socket\n"
_FETCH = "exec bash -c 'exec 3<>/dev/tcp/$0/$1; cat <&3' \"$@\""
_STUBBORN = "[Service]\nExecStart=/bin/sleep 31420\nExecStop=/bin/sleep 31421\nTimeoutStopSec=infinity\n"
_WANTED = "[Install]\nWantedBy=multi-user.target\n"
ENDLESS = f"[Service]\nType=oneshot\nExecStart=/bin/sleep 31422\nTimeoutStartSec=infinity\n{_WANTED}"
_LOOP = f"[Service]\nType=oneshot\nExecStart=/bin/systemctl reboot --force --force\n{_WANTED}"


@contextmanager
def warnings() -> Iterator[list[str]]:
    """What is warned of inside the block."""
    told: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, Warn):
            told.append(event.text)

    with subscribed(listen):
        yield told


def greet(machine: Container) -> None:
    """Have it answer on port 80, after each boot."""
    add_unit(machine, "greeting@.service", _GREETING)
    add_unit(machine, "greeting.socket", _GREETING_SOCKET)
    ask(machine, "systemctl start greeting.socket")


def read_all(connected: socket.socket) -> bytes:
    connected.settimeout(60)
    with connected, connected.makefile("rb") as file:
        return file.read()


def test_reboot(bookworm: str) -> None:
    with booted(bookworm, name="rebooted") as machine:
        add_unit(machine, "counting.service", _COUNTING)
        ask(machine, "echo kept >/root/file; touch /run/file /tmp/file /dev/shm/file; chmod 0750 /root/file")
        before = ask(machine, "cat /etc/machine-id; hostname; systemctl show --property=UserspaceTimestampMonotonic")
        for boots in (1, 2):
            machine.reboot(deadline=soon())
            assert ask(machine, "cat /var/lib/boots") == "booted\n" * boots
            assert ask(machine, "cat /root/file; stat -c '%a %U' /root/file") == "kept\n750 root\n"
            for path in ("/run/file", "/tmp/file", "/dev/shm/file"):
                assert ask(machine, '[ ! -e "$1" ]', path) == ""
            after = ask(machine, "cat /etc/machine-id; hostname; systemctl show --property=UserspaceTimestampMonotonic")
            assert after.splitlines()[:2] == before.splitlines()[:2]
            assert after.splitlines()[2:] != before.splitlines()[2:]
            assert machine.failed_units() == []
            assert any(one.unit == "dbus.service" for one in machine.processes())
            if os.path.isdir("/run/systemd/system"):
                shown = subprocess.run(["machinectl", "show", "rebooted"], capture_output=True, text=True, check=True)
                assert f"Leader={machine._leader}\n" in shown.stdout
                assert f"Unit={machine._scope}\n" in shown.stdout
        with machine.watch_unit("counting.service") as unit:
            assert unit.state().result == "success"


def test_network_after_a_reboot(bookworm: str) -> None:
    port = free_port()
    options = Options(network="lab", publish=(Publish("127.0.0.1", port, 80),))
    with booted(bookworm, name="one", options=options) as one:
        with booted(bookworm, name="two", options=Options(network="lab")) as two:
            greet(one)
            greet(two)
            one.reboot(deadline=soon())
            two.reboot(deadline=soon())
            one.reboot(deadline=soon())
            assert read_all(socket.create_connection(("127.0.0.1", port), 10)) == b"guest\n"
            assert ask(one, _FETCH, "two", 80) == ask(two, _FETCH, "one", 80) == "guest\n"
            assert read_all(socket.socket(fileno=one.connect("localhost", 80, 10))) == b"guest\n"
            assert one.listening_sockets() == two.listening_sockets()


@pytest.mark.parametrize("network", ["none", "host"])
def test_reboot_without_a_network_of_its_own(network: str, bookworm: str) -> None:
    with booted(bookworm, options=Options(network=network)) as machine:
        before = ask(machine, "ls /sys/class/net")
        machine.reboot(deadline=soon())
        assert ask(machine, "ls /sys/class/net") == before


def test_way_to_the_hosts_loopback_after_a_reboot(bookworm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a proxy there has it, which each command is told of."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.getsockname()[1]}/")

        def answer() -> None:
            for _ in range(3):
                with server.accept()[0] as client:
                    client.sendall(b"proxy\n")

        threading.Thread(target=answer, daemon=True).start()
        fetch = 'set -- $(echo "$http_proxy" | sed "s,http://,,; s,/,,; s/:/ /"); ' + _FETCH
        with booted(bookworm, proxies=True) as machine:
            assert ask(machine, fetch) == "proxy\n"
            for _ in range(2):
                machine.reboot(deadline=soon())
                assert ask(machine, fetch) == "proxy\n"


def test_limits_after_a_reboot(bookworm: str) -> None:
    controllers.need("pids")
    bomb = "perl -e '$SIG{CHLD} = q(IGNORE); for (1 .. 400) { defined($pid = fork) or die; $pid or sleep 60 }' 2>&1"
    with booted(bookworm, options=Options(tasks=100)) as machine, warnings() as told:
        for _ in range(2):
            assert "Died" in machine.command(["sh", "-c", bomb], deadline=soon()).output
            machine.reboot(deadline=soon())
        assert "Died" in machine.command(["sh", "-c", bomb], deadline=soon()).output
        assert told == []


def test_reboot_of_a_privileged_machine(bookworm: str, tmp_path: Path) -> None:
    bind = Bind(str(tmp_path), "/srv/shared", writable=True)
    with booted(bookworm, options=Options(privileged=True), binds=[bind]) as machine:
        ask(machine, "echo kept >/root/file; echo shared >/srv/shared/file")
        machine.reboot(deadline=soon())
        assert ask(machine, "cat /root/file /srv/shared/file; stat -c %u /root/file") == "kept\nshared\n0\n"


@pytest.mark.once
def test_what_a_boot_warns_of_is_told_once(bookworm: str) -> None:
    with warnings() as told, booted(bookworm, options=Options(capabilities=("CAP_SYS_TIME",))) as machine:
        machine.reboot(deadline=soon())
        machine.reboot(deadline=soon())
    assert len(told) == 1 and "has CAP_SYS_TIME in its user namespace" in told[0]


def test_reboot_without_users_of_its_own(bookworm: str, tmp_path: Path) -> None:
    """On an image whose owners cannot be mapped, as those of an overlay and of kernels before Linux 5.19."""
    from postroj import image as images

    with images.open_image(bookworm, offline=True) as opened:
        tmpfs = tmp_path / "tmpfs"
        tmpfs.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tmpfs], check=True)
        try:
            for name in ("upper", "work", "root"):
                (tmpfs / name).mkdir()
            layers = f"lowerdir={opened.root},upperdir={tmpfs}/upper,workdir={tmpfs}/work"
            subprocess.run(["mount", "-t", "overlay", "-o", layers, "overlay", tmpfs / "root"], check=True)
            try:
                with warnings() as told, Container(str(tmpfs / "root"), "unmapped") as machine:
                    for _ in range(2):
                        ask(machine, "echo kept >>/root/file")
                        machine.reboot(deadline=soon())
                    assert ask(machine, "cat /root/file; stat -c %u /root/file") == "kept\nkept\n0\n"
                assert len(told) == 1 and "runs without a user namespace" in told[0]
            finally:
                subprocess.run(["umount", tmpfs / "root"], check=True)
        finally:
            subprocess.run(["umount", tmpfs], check=True)


# --- failures ---


@pytest.mark.once
def test_guest_that_does_not_end_its_shutdown(bookworm: str) -> None:
    with booted(bookworm) as machine:
        add_unit(machine, "stubborn.service", _STUBBORN)
        ask(machine, "systemctl start stubborn")
        with pytest.raises(RebootError) as caught:
            machine.reboot(deadline=Deadline(60))
        assert (caught.value.phase, caught.value.units) == ("shutdown", ("stubborn.service",))
        assert str(caught.value) == (
            "the machine booted did not shut down for its reboot: it did not end within 60 s, "
            "waiting for stubborn.service"
        )
        with pytest.raises(MachineLostError, match="is lost: its reboot has failed"):
            machine.command(["true"], deadline=soon())


@pytest.mark.once
def test_guest_that_does_not_come_back(bookworm: str) -> None:
    with booted(bookworm) as machine:
        add_unit(machine, "endless.service", ENDLESS)
        with pytest.raises(RebootError) as caught:
            machine.reboot(deadline=Deadline(60))
        assert caught.value.phase == "boot"
        assert caught.value.units == ("endless.service",)
        with pytest.raises(MachineLostError, match="is lost: its reboot has failed"):
            machine.failed_units()
        machine.restore(deadline=soon())
        assert ask(machine, '[ ! -e "$1" ]', "/etc/systemd/system/endless.service") == ""


@pytest.mark.once
def test_guest_that_reboots_without_end(bookworm: str) -> None:
    with booted(bookworm) as machine:
        add_unit(machine, "loop.service", _LOOP)
        with pytest.raises(RebootError) as caught:
            machine.reboot(deadline=soon())
        assert caught.value.phase == "boot"
        assert "did not come back from its reboot: systemd-nspawn has ended" in str(caught.value)


@pytest.mark.once
def test_reboot_for_which_the_machine_has_no_time(bookworm: str) -> None:
    with booted(bookworm, deadline=Deadline(60)) as machine:
        add_unit(machine, "endless.service", ENDLESS)
        with pytest.raises(DeadlineError) as caught:
            machine.reboot(deadline=machine.deadline)
        assert str(caught.value) == "the machine booted had not rebooted within 60 s"


@pytest.mark.once
def test_guest_whose_reboot_is_masked(bookworm: str) -> None:
    with booted(bookworm) as machine:
        ask(machine, "systemctl mask reboot.target")
        with pytest.raises(RebootError, match="did not shut down for its reboot: its systemd refused to reboot"):
            machine.reboot(deadline=soon())


@pytest.mark.once
def test_guest_that_shuts_down_in_place_of_a_reboot(bookworm: str) -> None:
    with booted(bookworm) as machine:
        text = f"[Service]\nExecStart=/bin/sleep 31423\nExecStop=/bin/systemctl poweroff --force --force\n{_WANTED}"
        add_unit(machine, "poweroff.service", text)
        ask(machine, "systemctl start poweroff")
        with pytest.raises(MachineLostError, match="it was shut down or rebooted from inside") as caught:
            machine.reboot(deadline=soon())
        assert caught.value.by_guest


_REBOOTING = """
import sys
from postroj import image
from postroj.container import Container
from postroj.deadline import NEVER
with image.open_image(sys.argv[1], offline=True) as opened, Container(opened.root, "rebooting") as machine:
    while True:
        print("next", flush=True)
        machine.reboot(deadline=NEVER)
"""


def test_kill_during_a_reboot(bookworm: str, environment: dict[str, str], postroj: Run) -> None:
    """SIGKILL at random moments of a reboot: the kernel ends the guest, and the next command removes the rest."""
    before = Residue.take()
    chosen = random.Random(os.environ.get("POSTROJ_TEST_SEED"))
    for _ in range(int(os.environ.get("POSTROJ_TEST_KILLS", "10"))):
        with started([sys.executable, "-c", _REBOOTING, bookworm], environment) as process:
            assert process.stdout
            for _ in range(2):
                assert process.stdout.readline() == b"next\n"
            time.sleep(chosen.uniform(0, 0.8))  # the moment itself, not the wait for one
            process.kill()
            process.communicate(timeout=60)
        assert Residue.settled_by_kernel(before.by_kernel()) == before.by_kernel()
        assert postroj("gc").returncode == 0
        assert Residue.left(before) == before


def test_guest_that_is_killed_while_it_shuts_down(bookworm: str) -> None:
    with booted(bookworm) as machine:
        add_unit(machine, "stubborn.service", _STUBBORN)
        ask(machine, "systemctl start stubborn")
        leader = machine._leader

        def kill() -> None:
            until(
                lambda: any(
                    one.name == "sleep" and b"31421" in _command(one.pid, leader) for one in machine.processes()
                ),
                "it stops",
            )
            os.kill(leader, 9)

        thread = threading.Thread(target=kill)
        thread.start()
        with pytest.raises(MachineLostError):
            machine.reboot(deadline=soon())
        thread.join()


def _command(pid: int, leader: int) -> bytes:
    return Path(f"/proc/{leader}/root/proc/{pid}/cmdline").read_bytes()
