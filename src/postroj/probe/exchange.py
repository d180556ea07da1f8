"""What is sent to a socket, and what has to come back: for tcp, udp and unix sockets."""

import re
import socket
from collections.abc import Sequence
from typing import Annotated, NamedTuple

from postroj.deadline import Deadline
from postroj.probe.judge import Seen
from postroj.probe.values import TEXT, Key, Text, shown, text

_MOST = 1 << 20
_CHUNK = 65536
_SILENCE_SECONDS = 1.0
"""How long a service may be silent after it has begun to reply: nothing tells that no more will come."""
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\"}
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|(.?))", re.DOTALL)


class Bytes(NamedTuple):
    r"""What is sent, as it is written: UTF-8, with the escapes \n, \r, \t, \\ and \xNN."""

    written: str
    value: bytes

    def __str__(self) -> str:
        return self.written


def read_bytes(operator: str, written: str) -> Bytes:
    """Read bytes with escapes."""
    value, end = b"", 0
    for found in _ESCAPE.finditer(written):
        value += written[end : found.start()].encode(errors="surrogateescape")
        if found[1] is None and found[2] not in _ESCAPES:
            raise ValueError(f"has the unknown escape {found[0]}")
        value += bytes.fromhex(found[1]) if found[1] else _ESCAPES[found[2]].encode()
        end = found.end()
    return Bytes(written, value + written[end:].encode(errors="surrogateescape"))


Send = Annotated[
    Bytes | None, Key(read_bytes, r"send='PING\r\n'", r"what is sent first, with `\n`, `\r`, `\t`, `\\` and `\xNN`")
]
Reply = Annotated[
    tuple[Text, ...],
    Key(text, "reply~=PONG", "what comes back, without its last line break", TEXT, repeatable=True),
]


def talk(connection: socket.socket, send: Bytes | None, reply: Sequence[Text], good: str, limit: Deadline) -> Seen:
    """Send, and read until the reply is as expected, or ends. Raises OSError, PatternError."""
    if send:
        connection.sendall(send.value)
    if not reply:
        return Seen(True, good)
    data = b""
    wrong = list(reply)
    while True:
        chunk = _read(connection, limit.sooner(_SILENCE_SECONDS) if data else limit)
        data += chunk
        said = data[:_MOST].decode(errors="replace").removesuffix("\n").removesuffix("\r")
        wrong = [one for one in reply if not one.fits(said)]
        # What must not come may still do so; what is there stays there.
        if not chunk or len(data) >= _MOST or (not wrong and all(one.operator == "~=" for one in reply)):
            break
    if wrong:
        return Seen(False, f"reply: expected {wrong[0].expected()}, got {shown(said) if data else 'nothing'}", said)
    return Seen(True, f"replies {shown(said)}")


def _read(connection: socket.socket, until: Deadline) -> bytes:
    connection.settimeout(max(0.01, until.remaining() or 0.0))
    try:
        return connection.recv(_CHUNK)
    except TimeoutError:
        return b""
