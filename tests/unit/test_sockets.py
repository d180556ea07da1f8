"""Tables of sockets: a UNIX socket's name may be anything, newlines included."""

import socket
from pathlib import Path

import pytest

from postroj import sockets
from postroj.vm import processes


@pytest.mark.parametrize("name", ["a\nb c zzz e f g h", "a\nsl y\nz", "a\nNum x", "a\n", "\n\n b 1", "é\x0b\x0c"])
def test_a_name_with_newlines(name: str, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / name))
        one.listen()
        with open("/proc/net/unix", errors="replace") as table:
            found = dict(sockets.unix_listeners(table))
        text = Path("/proc/net/unix").read_text(errors="replace") + Path("/proc/net/tcp").read_text()
    assert found and all(isinstance(inode, int) for inode in found)
    assert processes.of_unit(text, 1) == []


def test_internet() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, open("/proc/net/tcp") as table:
        found = sockets.listeners("tcp", table)
        assert f"127.0.0.1:{one.getsockname()[1]}" in map(sockets.shown, found)
