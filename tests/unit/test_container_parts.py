"""Those parts of a container that need no container."""

import os
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path

import pytest
from jeepney import DBusAddress, DBusErrorResponse, new_error, new_method_call

from postroj import process, sockets
from postroj.capture import Tail, fed_from, sink_into
from postroj.container import Bind, Options
from postroj.container.guest import guestnet
from postroj.container.guest.guestfs import open_beneath, write_as
from postroj.container.guest.transient import _stream_properties
from postroj.container.host import limits, slot
from postroj.container.host.names import check as check_name
from postroj.container.launch import binds, confinement, mounts
from postroj.container.launch.notifications import Notifications
from postroj.container.network import firewall, proxy, resolver
from postroj.deadline import Deadline
from postroj.errors import UsageError
from postroj.streams import Streams
from postroj.systemd.bus import path_of, said

# guestfs


@contextmanager
def opened(root: Path, path: str) -> Iterator[int]:
    directory = os.open(root, os.O_PATH | os.O_DIRECTORY)
    try:
        with open_beneath(directory, path) as fd:
            yield fd
        os.fstat(directory)  # it is the caller's, and still open
    finally:
        os.close(directory)


def read_beneath(root: Path, path: str) -> bytes:
    with opened(root, path) as fd, open(f"/proc/self/fd/{fd}", "rb") as file:
        return file.read()


def test_a_file_is_opened_beneath(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c").write_bytes(b"x")
    assert read_beneath(tmp_path, "a/b/c") == b"x"
    assert read_beneath(tmp_path / "a", "b/c") == b"x"


def write_beneath(root: Path, path: str, data: bytes) -> None:
    directory = os.open(root, os.O_PATH | os.O_DIRECTORY)
    try:
        write_as(os.getuid(), directory, path, BytesIO(data))
    finally:
        os.close(directory)


def test_a_file_is_written_beneath(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_beneath(tmp_path, "a/b/c", b"longer")
    finally:
        os.umask(before)
    write_beneath(tmp_path, "a/b/c", b"x")
    assert (tmp_path / "a/b/c").read_bytes() == b"x"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a", tmp_path / "a/b/c")] == [0o755, 0o644]


@pytest.mark.parametrize("path", ["link/c", "file/c", "to", "fifo", "../c", "a/../../c"])
def test_no_link_is_written_through(tmp_path: Path, path: str) -> None:
    root = tmp_path / "root"
    for directory in (root, tmp_path / "outside"):
        directory.mkdir()
    (root / "link").symlink_to(tmp_path / "outside")
    (root / "to").symlink_to(tmp_path / "outside/to")
    (root / "file").touch()
    os.mkfifo(root / "fifo")
    with pytest.raises(OSError):
        write_beneath(root, path, b"x")
    assert list((tmp_path / "outside").iterdir()) == []
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("path", ["../b/c", "b/../../b/c", "b/.."])
def test_no_path_leads_up(tmp_path: Path, path: str) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "b/c").write_bytes(b"x")
    with pytest.raises(OSError, match="cross-device"):
        read_beneath(tmp_path / "a", path)


@pytest.mark.parametrize("target", ["/", "/etc", "..", ".", "real", "nowhere", "{root}/real"])
def test_a_link_on_the_way_is_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "real/etc").mkdir(parents=True)
    (tmp_path / "real/hostname").touch()
    (tmp_path / "real/etc/hostname").touch()
    (tmp_path / "link").symlink_to(target.format(root=tmp_path))
    for path in ("link/hostname", "link/etc/hostname"):
        with pytest.raises(OSError), opened(tmp_path, path):
            pass


@pytest.mark.parametrize("target", ["/etc/passwd", "real", "nowhere"])
def test_a_link_at_the_end_is_never_followed(tmp_path: Path, target: str) -> None:
    (tmp_path / "real").write_bytes(b"x")
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(OSError):
        read_beneath(tmp_path, "link")


@pytest.mark.parametrize("target", ["real", "/run/dbus/system_bus_socket"])
def test_a_link_at_the_end_is_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "real").write_bytes(b"x")
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(OSError), opened(tmp_path, "link"):
        pass


@pytest.mark.parametrize("path", ["nothing", "nothing/x", "file/x", "fifo/x"])
def test_what_is_not_there_leaves_no_descriptor(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo")
    before = os.listdir("/proc/self/fd")
    with pytest.raises(OSError), opened(tmp_path, path):
        pass
    assert os.listdir("/proc/self/fd") == before


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(KeyError), opened(tmp_path, "a/b"):
        raise KeyError
    assert os.listdir("/proc/self/fd") == before


# claim


@pytest.mark.parametrize("name", ["a", "0", "a-b", "postroj-debian-12", "a" * 48])
def test_machines_names(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    "name", ["", "-", "-a", "a-", "A", "a_b", "a.b", "a b", "a/b", "..", ".link-1", "a\n", "é", "a" * 49, "x" * 9999]
)
def test_what_no_machine_is_called(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_name(name)
    assert len(caught.value.what) < 200


# capture


@pytest.mark.parametrize("size", [0, 1, 65536, 1_000_000])
def test_all_that_is_written_is_read(size: int) -> None:
    chunks: list[bytes] = []
    data = os.urandom(size)
    with sink_into(chunks.append) as sink, open(os.dup(sink), "wb") as file:
        file.write(data)
    assert b"".join(chunks) == data


def test_who_keeps_the_pipe_open_is_not_waited_for() -> None:
    chunks: list[bytes] = []
    with sink_into(chunks.append) as sink:
        kept = os.dup(sink)
        os.write(sink, b"x")
    os.close(kept)
    assert chunks == [b"x"]


def test_who_goes_on_printing_is_not_listened_to_for_ever() -> None:
    kept: list[int] = []

    def consume(chunk: bytes) -> None:
        os.write(kept[0], b"more")  # so there is always something to read

    with sink_into(consume) as sink:
        kept.append(os.dup(sink))
        os.write(sink, b"x")
    os.close(kept[0])


def test_where_nobody_takes_it_a_command_does_not_block() -> None:
    def consume(chunk: bytes) -> None:
        raise OSError("the terminal is gone")

    with sink_into(consume) as sink, suppress(BrokenPipeError):
        for _ in range(100):
            os.write(sink, b"x" * 65536)


def test_what_a_source_gives_can_be_read_to_its_end() -> None:
    source, sink = os.pipe()
    with fed_from(source) as outlet, open(os.dup(outlet), "rb") as file:
        os.write(sink, b"hello")
        os.close(sink)
        assert file.read() == b"hello"
    os.close(source)


@pytest.mark.parametrize(
    ("chunks", "text"),
    [
        ([], ""), ([b"abc"], "abc"), ([b"12345"], "12345"), ([b"123456"], "23456"), ([b"12", b"34", b"56"], "23456"),
        ([b"x" * 100, b"12345"], "12345"), ([b"\xff"], "\N{REPLACEMENT CHARACTER}"), ([b"\xc3", b"\xa9"], "é"),
    ],
)  # fmt: skip
def test_the_tail_of_an_output(chunks: list[bytes], text: str) -> None:
    tail = Tail(lambda line: None, 5)
    for chunk in chunks:
        tail.add(chunk)
    assert tail.text() == text


def test_of_an_output_without_end_some_lines_are_told() -> None:
    told: list[str] = []
    tail = Tail(told.append, 4, most=3)
    for _ in range(10):
        tail.add(b"x\ny\n")
    assert told == ["x", "y", "x", "(more is printed than is shown here)"]
    assert tail.text() == "x\ny\n"


# transient


@pytest.mark.parametrize(
    ("unit", "path"),
    [
        ("postroj-1.service", "postroj_2d1_2eservice"),
        ("a_b@c.socket", "a_5fb_40c_2esocket"),
        ("a\\x2d.mount", "a_5cx2d_2emount"),
        ("AZaz09", "AZaz09"),
    ],
)
def test_the_object_path_of_a_unit(unit: str, path: str) -> None:
    assert path_of(unit) == f"/org/freedesktop/systemd1/unit/{path}"


def test_streams_as_a_units_properties() -> None:
    assert dict(_stream_properties(Streams(None, 7, 8))) == {
        "StandardInput": ("s", "null"),
        "StandardOutputFileDescriptor": ("h", 7),
        "StandardErrorFileDescriptor": ("h", 8),
    }
    assert dict(_stream_properties(Streams(0, None, None)))["StandardInputFileDescriptor"] == ("h", 0)
    terminal = dict(_stream_properties(Streams(terminal="/dev/pts/3")))
    assert terminal["TTYPath"] == ("s", "/dev/pts/3") and terminal["StandardInput"] == ("s", "tty")


# nspawn


@pytest.mark.parametrize(
    ("bind", "argument"),
    [
        (Bind("/a", "/b"), "--bind-ro=/m:/b"),
        (Bind("/a", "/b", True), "--bind=/m:/b"),
        (Bind("/a:b", "/c\\d:e"), "--bind-ro=/m:/c\\\\d\\:e"),
        (Bind("/a b", "/ü,x"), "--bind-ro=/m:/ü,x"),
    ],
)
def test_a_bind_as_nspawn_has_it(bind: Bind, argument: str) -> None:
    assert binds.argument(bind, "/m") == argument


@pytest.mark.parametrize(
    ("program", "arguments"),
    [(b"\x7fELF\0machine\0", []), (b"\x7fELF\0restrict-address-families\0", ["--restrict-address-families="])],
)
def test_what_a_newer_nspawn_restricts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: bytes, arguments: list[str]
) -> None:
    tool = tmp_path / "systemd-nspawn"
    tool.write_bytes(program)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert confinement.network(Options(network="host")) == arguments


# what is mounted


@pytest.mark.parametrize(
    ("there", "made"),
    [
        ([], ["hosts", "hostname"]),
        (["debian_version"], ["hosts", "hostname", "timezone"]),
        (["debian_version", "timezone"], ["hosts", "hostname"]),
    ],
)
def test_files_that_are_the_machines(tmp_path: Path, there: list[str], made: list[str]) -> None:
    (tmp_path / "etc").mkdir()
    for name in there:
        (tmp_path / "etc" / name).touch()
    files = dict(mounts.files("db", str(tmp_path), ""))
    assert list(files) == made and files["hostname"] == "db\n" and "127.0.1.1 db\n" in files["hosts"]


# network


def test_no_two_slots_share_an_address_or_a_user() -> None:
    slots = [slot.Slot(number) for number in range(slot.SLOTS)]
    assert (slots[0].host_address, slots[0].guest_address) == ("10.213.0.1", "10.213.0.2")
    assert slots[-1].guest_address == "10.213.15.254"
    assert len({address for one in slots for address in (one.host_address, one.guest_address)}) == 2 * slot.SLOTS
    assert [one.root_uid % slot.USERS for one in slots] == [0] * slot.SLOTS
    assert len({one.root_uid for one in slots}) == slot.SLOTS


def test_users_are_of_those_that_systemd_leaves_to_containers() -> None:
    uids = [slot.Slot(number).root_uid for number in (0, slot.SLOTS - 1)]
    assert uids[0] >= 524288 and uids[1] + slot.USERS - 1 <= 1879048191


# name servers


@pytest.mark.parametrize(
    ("text", "uplink", "servers", "out_of_reach"),
    [
        ("nameserver 192.0.2.1\n", "", ["192.0.2.1"], False),
        ("nameserver\t192.0.2.1\nnameserver 192.0.2.2\n", "", ["192.0.2.1", "192.0.2.2"], False),
        ("nameserver 127.0.0.1\nnameserver 192.0.2.1\n", "", ["127.0.0.1", "192.0.2.1"], True),
        ("nameserver 127.0.0.11\noptions ndots:0\n", "", ["127.0.0.11"], True),
        ("nameserver ::1\n", "", ["::1"], True),
        ("nameserver 2001:db8::1\n", "", ["2001:db8::1"], True),
        ("nameserver 0.0.0.0\n", "", ["0.0.0.0"], True),
        ("# nameserver 192.0.2.1\nnameserver \nnameserver\n", "", ["127.0.0.1"], True),
        ("", "", ["127.0.0.1"], True),
        (None, None, ["127.0.0.1"], True),
        ("nameserver 127.0.0.53\n", "nameserver 192.0.2.1\n", ["192.0.2.1"], False),
        ("nameserver 127.0.0.53\noptions edns0\n", "nameserver 192.0.2.1\n", ["192.0.2.1"], False),
        ("nameserver 127.0.0.53\n", "nameserver 127.0.0.1\n", ["127.0.0.53"], True),
        ("nameserver 127.0.0.53\n", "", ["127.0.0.53"], True),
        ("nameserver 127.0.0.1\n", "nameserver 192.0.2.1\n", ["127.0.0.1"], True),
    ],
)
def test_name_servers_of_the_host(
    tmp_path: Path, text: str | None, uplink: str | None, servers: list[str], out_of_reach: bool
) -> None:
    for name, content in (("stub", text), ("uplink", uplink)):
        if content is not None:
            (tmp_path / name).write_text(content)
    found = resolver.read(str(tmp_path / "stub"), str(tmp_path / "uplink"))
    assert (list(found.servers), found.is_out_of_reach) == (servers, out_of_reach)


def test_a_resolv_conf_that_asks_the_relay() -> None:
    found = resolver.ResolvConf("search a.test\nnameserver 127.0.0.1\n# x\nnameserver ::1\noptions edns0")
    assert found.asking("10.213.0.1") == "nameserver 10.213.0.1\nsearch a.test\n# x\noptions edns0\n"


def test_no_more_name_servers_than_the_guest_would_ask() -> None:
    assert len(resolver.ResolvConf("nameserver 127.0.0.1\n" * 9).servers) == 3


def test_what_is_no_address_is_no_name_server() -> None:
    assert resolver.targets(["127.0.0.1", "no.address.test", "::1", "", "-x"]) == [
        (socket.AF_INET, ("127.0.0.1", 53)),
        (socket.AF_INET6, ("::1", 53, 0, 0)),
    ]


# proxies


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, {}),
        ({"http_proxy": ""}, {}),
        ({"HTTP_PROXY": "http://p:1"}, {"http_proxy": "http://p:1", "HTTP_PROXY": "http://p:1"}),
        ({"http_proxy": "p:1", "HTTP_PROXY": "q:1"}, {"http_proxy": "http://p:1", "HTTP_PROXY": "http://p:1"}),
        ({"no_proxy": "a,.b"}, {"no_proxy": "a,.b", "NO_PROXY": "a,.b"}),
        ({"https_proxy": "http://p:1\nx"}, {}),
    ],
)
def test_proxies_of_the_host(environment: dict[str, str], found: dict[str, str]) -> None:
    assert proxy.variables(environment) == found


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("http://127.0.0.1:3128", [(socket.AF_INET, ("127.0.0.1", 3128))]),
        ("http://u:p@127.0.0.2", [(socket.AF_INET, ("127.0.0.2", 80))]),
        ("http://[::1]:3128/", [(socket.AF_INET6, ("::1", 3128, 0, 0))]),
        ("http://192.0.2.1:3128", []),
        ("http://127.0.0.1:99999", []),
        ("http://[::1", []),
        ("http://", []),
        ("socks5://127.0.0.1", []),
    ],
)
def test_a_proxy_on_loopback(url: str, found: list[object]) -> None:
    assert proxy.targets(url) == found


def test_a_proxy_at_another_place() -> None:
    assert proxy.at("http://u:p@127.0.0.1:3128/x", "10.213.0.1", 4000) == "http://u:p@10.213.0.1:4000/x"
    assert proxy.at("http://[::1]", "10.213.0.1", 4000) == "http://10.213.0.1:4000"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Connection failed [IP: 10.213.0.1 4000]", "Connection failed [IP: 127.0.0.1 3128 (a proxy of this host)]"),
        ("connect to 10.213.0.1:4000: refused", "connect to 127.0.0.1:3128 (a proxy of this host): refused"),
        ("10.213.0.1:40001, 110.213.0.1:4000, 10.213.0.1", "10.213.0.1:40001, 110.213.0.1:4000, 10.213.0.1"),
        ("10.213.0.1:4001", "[::1]:80 (a proxy of this host)"),
    ],
)
def test_a_relayed_proxy_is_told_as_the_host_has_it(text: str, told: str) -> None:
    relayed = {
        "http://u:p@10.213.0.1:4000": "http://u:p@127.0.0.1:3128/",
        "http://10.213.0.1:4001": "http://[::1]",
    }
    assert proxy.as_on_host(text, relayed) == told


# foreign firewall rules


_OURS = "table inet postroj {\n\tchain forward {\n\t\ttype filter hook forward priority filter; policy drop;\n\t}\n}\n"
_DOCKER = "table ip filter {\n\tchain FORWARD {\n\t\ttype filter hook forward priority filter; policy drop;\n\t}\n}\n"
_OPEN = "table ip nat {\n\tchain FORWARD {\n\t\ttype filter hook forward priority filter; policy accept;\n\t}\n}\n"


@pytest.mark.parametrize(
    ("chains", "rules", "tables"),
    [
        ("", "", []),
        (_OURS + _OPEN, "", []),
        (_OURS + _DOCKER + _OPEN, "", ["ip filter"]),
        (_OURS + _DOCKER, 'iifname "pj-*" accept', []),
        ("table inet firewalld {\n\tchain x {\n\t}\n}\n", "", ["inet firewalld"]),
    ],
)
def test_tables_that_drop_what_machines_send(
    chains: str, rules: str, tables: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "run", lambda argv: rules)
    assert firewall.dropping(chains) == tables


@pytest.mark.parametrize(
    ("address", "hexadecimal"),
    [("127.0.0.1", "0100007F"), ("0.0.0.0", "00000000"), ("::1", "0" * 24 + "01000000"), ("::", "0" * 32)],
)
@pytest.mark.skipif(sys.byteorder != "little", reason="the kernel prints it in the machine's byte order")
def test_addresses_as_the_kernel_prints_them(address: str, hexadecimal: str) -> None:
    assert sockets._address(hexadecimal) == address


@pytest.mark.skipif(os.geteuid() != 0, reason="only root enters a network namespace, even its own")
@pytest.mark.parametrize(
    ("family", "address", "shown"), [(socket.AF_INET, "127.0.0.1", "127.0.0.1"), (socket.AF_INET6, "::1", "[::1]")]
)
def test_what_listens_is_found(family: socket.AddressFamily, address: str, shown: str) -> None:
    with socket.socket(family) as listener, open("/proc/self/ns/net") as namespace:
        try:
            listener.bind((address, 0))
        except OSError:
            pytest.skip("this host has no such address")
        port = listener.getsockname()[1]
        assert f"{shown}:{port}" not in guestnet.listening_sockets(namespace.fileno())
        listener.listen()
        assert f"{shown}:{port}" in guestnet.listening_sockets(namespace.fileno())
        connected = guestnet.connect(namespace.fileno(), [address], port, 5)
        os.close(connected)


def test_what_is_no_network_namespace_is_an_error() -> None:
    with open("/dev/null") as file, pytest.raises(OSError):
        guestnet.listening_sockets(file.fileno())


def test_pairs_of_sockets_are_told() -> None:
    one, other = socket.socketpair()
    with one, other, open("/proc/self/ns/net") as namespace:
        if os.geteuid() != 0:
            pytest.skip("a network namespace is entered by root")
        inodes = [os.fstat(end.fileno()).st_ino for end in (one, other)]
        found = guestnet.socket_peers(namespace.fileno())
        assert [found[inode] for inode in inodes] == inodes[::-1]
        other.close()
        assert guestnet.socket_peers(namespace.fileno())[inodes[0]] == 0


def test_a_connection_that_is_not_accepted_yet_is_not_closed(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("a network namespace is entered by root")
    with (
        socket.socket(socket.AF_UNIX) as server,
        socket.socket(socket.AF_UNIX) as client,
        open("/proc/self/ns/net") as namespace,
    ):
        server.bind(str(tmp_path / "socket"))
        server.listen()
        client.connect(str(tmp_path / "socket"))
        assert os.fstat(client.fileno()).st_ino not in guestnet.socket_peers(namespace.fileno())


def test_a_namespace_of_which_the_kernel_tells_nothing() -> None:
    with open("/proc/self/status") as file:
        assert guestnet.socket_peers(file.fileno()) == {}


# notifications


@contextmanager
def notified(path: Path, message: bytes) -> Iterator[tuple[Notifications, int]]:
    """Yield a socket to which this process has sent a message, and the PID of a child that has ended."""
    notifications = Notifications(str(path / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(message, notifications.path)
    child = os.posix_spawn("/bin/true", ["true"], {})
    try:
        yield notifications, child
    finally:
        notifications.close()
        os.waitpid(child, 0)


def test_a_notification_is_returned_if_it_is_the_wanted_one_of_the_right_process(tmp_path: Path) -> None:
    with notified(tmp_path, b"READY=1\nSTATUS=x") as (notifications, child):
        message = notifications.wait(b"READY=1", sender=os.getpid(), process=child, deadline=Deadline(60))
    assert message == b"READY=1\nSTATUS=x"


@pytest.mark.parametrize(("message", "sender"), [(b"READY=1", 1), (b"STATUS=x", os.getpid())], ids=["other", "own"])
def test_other_notifications_are_passed_over_until_the_process_ends(
    tmp_path: Path, message: bytes, sender: int
) -> None:
    with notified(tmp_path, message) as (notifications, child), pytest.raises(ProcessLookupError):
        notifications.wait(b"READY=1", sender=sender, process=child, deadline=Deadline(60))


def test_a_notification_is_waited_for_until_the_deadline(tmp_path: Path) -> None:
    with notified(tmp_path, b"STATUS=x") as (notifications, _), pytest.raises(TimeoutError):
        notifications.wait(b"READY=1", sender=os.getpid(), process=os.getpid(), deadline=Deadline(0))


# limits


@pytest.mark.parametrize(
    ("below", "own", "v1", "count"),
    [
        pytest.param({"oom": 0, "oom_kill": 0}, {"oom": 0, "oom_kill": 0}, {}, 0, id="none"),
        pytest.param({"oom": 1, "oom_kill": 2}, {"oom": 1, "oom_kill": 0}, {}, 2, id="limit of the machine"),
        pytest.param({"oom": 1, "oom_kill": 2}, {"oom": 0, "oom_kill": 0}, {}, 0, id="limit of a unit"),
        pytest.param({"oom": 2, "oom_kill": 2}, {"oom": 1, "oom_kill": 0}, {}, 2, id="both"),
        pytest.param({"oom": 0, "oom_kill": 1}, {"oom": 0, "oom_kill": 0}, {}, 1, id="limit of the host"),
        pytest.param({"oom": 1, "oom_kill": 1}, {}, {}, 1, id="before Linux 5.2"),
        pytest.param({}, {}, {"oom_kill_disable": 0, "under_oom": 0, "oom_kill": 3}, 3, id="cgroup v1"),
        pytest.param({}, {}, {}, 0, id="not counted"),
    ],
)
def test_whose_memory_the_oom_killer_was_called_for(
    below: dict[str, int], own: dict[str, int], v1: dict[str, int], count: int
) -> None:
    """As cgroup-v2.rst of the kernel has it, `memory.events`."""
    assert limits.kills(below, own, v1) == count


# bus


@pytest.mark.parametrize(
    ("data", "told"),
    [(("no reply",), "no reply"), ((), "org.example.Error"), (("",), "org.example.Error"), ((7,), "org.example.Error")],
)
def test_an_error_of_d_bus_is_told_by_its_message(data: tuple[object, ...], told: str) -> None:
    call = new_method_call(DBusAddress("/", "org.example"), "Do")
    error = new_error(call, "org.example.Error")
    error.body = data
    assert said(DBusErrorResponse(error)) == told
