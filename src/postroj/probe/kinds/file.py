"""A file of the guest: whether it is there, what it is, whose, and what is in it."""

import re
from io import BytesIO
from typing import Annotated, NamedTuple

from postroj.deadline import Deadline
from postroj.probe.judge import CannotTellError, Scene, Seen, of, wrong_in
from postroj.probe.values import NUMBER, TEXT, USER, Key, Text, Timeout, like, one_of, path, text, wrong, yes_or_no

_MOST = 256 * 1024
_TYPES = {
    "file": 0o100000,
    "directory": 0o040000,
    "symlink": 0o120000,
    "socket": 0o140000,
    "fifo": 0o010000,
    "block": 0o060000,
    "char": 0o020000,
}
"""stat(2), the file type."""
_FORMAT = 0o170000


def _mode(operator: str, written: str) -> Text:
    if not re.fullmatch("[0-7]{3,5}", written) or int(written, 8) > 0o7777:
        raise ValueError("is not a mode in octal digits")
    return Text(operator, f"{int(written, 8):04o}")


def _owner(operator: str, written: str) -> Text:
    return Text(operator, like(USER, "cannot be a user's or a group's name")(operator, written))


class File(NamedTuple):
    """Something has a path: a file, a directory or a socket, for example.

    A link is followed, unless `type=symlink` or `exists=no`.
    """

    path: Annotated[str, Key(path, "file /etc/grafana/grafana.ini", "its absolute path")]
    exists: Annotated[bool, Key(yes_or_no, "exists=no", "`no`: nothing may have this path")] = True
    type: Annotated[Text | None, Key(one_of(*_TYPES), "type=directory", ", ".join(_TYPES), NUMBER)] = None
    mode: Annotated[Text | None, Key(_mode, "mode=0640", "its permissions, in octal digits", NUMBER)] = None
    owner: Annotated[Text | None, Key(_owner, "owner=grafana", "the user that it belongs to, or its UID", NUMBER)] = (
        None
    )
    group: Annotated[Text | None, Key(_owner, "group=grafana", "its group, or its GID", NUMBER)] = None
    content: Annotated[
        tuple[Text, ...],
        Key(
            text, "content~='^port = 3000$'", "what is in it, without the last line break; its first 256 KiB count",
            TEXT, repeatable=True,
        ),
    ] = ()  # fmt: skip
    timeout: Timeout = None

    def look(self, scene: Scene, until: Deadline) -> Seen:
        """Look once; see Check."""
        if not scene.machine.capabilities.linux:
            return self._look_plainly(scene, until)
        follow = self.exists and not (self.type and self.type.value == "symlink")
        shown = scene.machine.command(
            ["stat", *(["-L"] if follow else []), "-c", "%f %u %U %g %G %s", "--", self.path], deadline=until
        )
        if shown.status == 127:
            raise CannotTellError("the machine has no stat(1) to look with", why=shown.output)
        if shown.status != 0:
            reason = shown.output.strip().rpartition(": ")[2]
            if self.exists:
                return Seen(False, f"does not exist: {reason}" if not _is_absent(reason) else "does not exist")
            return Seen(_is_absent(reason), "does not exist" if _is_absent(reason) else reason)
        if not self.exists:
            return Seen(False, "exists: expected no, got yes")
        try:
            mode, uid, user, gid, group, length = shown.output.split()
            bits, size = int(mode, 16), int(length)
        except ValueError:
            raise CannotTellError("stat(1) of the machine does not print what it should", why=shown.output) from None
        kind = next((name for name, bit in _TYPES.items() if bits & _FORMAT == bit), "unknown")
        clauses = [
            wrong("type", self.type, kind) if self.type else "",
            wrong("mode", self.mode, f"{bits & 0o7777:04o}") if self.mode else "",
            _wrong_owner("owner", self.owner, uid, user),
            _wrong_owner("group", self.group, gid, group),
        ]
        if self.content:
            clauses += self._wrong_content(scene, kind, size, until)
        return of(f"{kind}, mode {bits & 0o7777:04o}, {user}:{group}", clauses)

    def _look_plainly(self, scene: Scene, until: Deadline) -> Seen:
        """Look once, where files have no modes and groups."""
        found = scene.machine.system.file(self.path, deadline=until)
        if found is None or not self.exists:
            return Seen((found is not None) == self.exists, "does not exist" if found is None else "it exists")
        if self.mode or self.group:
            raise CannotTellError(f"files of {scene.machine.system.name} have no {'mode' if self.mode else 'group'}")
        clauses = [
            wrong("type", self.type, found.kind) if self.type else "",
            wrong("owner", self.owner, found.owner) if self.owner else "",
        ]
        if self.content and found.kind != "file":
            clauses.append(f"content: expected {self.content[0].expected()}, got a {found.kind}")
        elif self.content:
            into = BytesIO()
            is_whole = scene.machine.pull(self.path, into, most=_MOST)
            content = into.getvalue().decode(errors="replace").replace("\r\n", "\n").removesuffix("\n")
            clauses += [wrong_in("content", expected, content, is_cut=not is_whole) for expected in self.content]
        return of(f"{found.kind}, {found.size} bytes", clauses)

    def _wrong_content(self, scene: Scene, kind: str, size: int, until: Deadline) -> list[str]:
        if kind != "file":
            return [f"content: expected {self.content[0].expected()}, got a {kind}"]
        read = scene.machine.command(["head", "-c", str(_MOST), "--", self.path], deadline=until)
        if read.status != 0:
            return [f"content: cannot be read: {read.output.strip().rpartition(': ')[2]}"]
        content = read.output.removesuffix("\n")
        return [wrong_in("content", expected, content, is_cut=size > _MOST) for expected in self.content]


def _is_absent(reason: str) -> bool:
    return reason in ("No such file or directory", "Not a directory")


def _wrong_owner(key: str, expected: Text | None, number: str, name: str) -> str:
    return wrong(key, expected, number if expected.value.isdecimal() else name) if expected else ""
