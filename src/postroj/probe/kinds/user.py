"""A user of the guest."""

import re
from typing import Annotated, NamedTuple

from postroj.deadline import Deadline
from postroj.probe.judge import CannotTellError, Scene, Seen, of
from postroj.probe.values import NUMBER, TEXT, USER, Key, Numbers, Text, Timeout, like, numbers, text, wrong, yes_or_no

_ID = re.compile("[0-9]{1,10}")


class User(NamedTuple):
    """A user exists, as the guest's getent(1) has it."""

    name: Annotated[str, Key(like(USER, "cannot be a user's name"), "user grafana", "its name")]
    exists: Annotated[bool, Key(yes_or_no, "exists=no", "`no`: it must not exist")] = True
    uid: Annotated[Numbers | None, Key(numbers(), "uid=1-999", "its UID", NUMBER)] = None
    group: Annotated[Text | None, Key(text, "group=grafana", "its primary group", TEXT)] = None
    member: Annotated[
        tuple[Text, ...], Key(text, "member=ssl-cert", "a group that it is a member of", NUMBER, repeatable=True)
    ] = ()
    home: Annotated[Text | None, Key(text, "home=/var/lib/grafana", "its home directory", TEXT)] = None
    shell: Annotated[Text | None, Key(text, "shell~=nologin", "its shell", TEXT)] = None
    timeout: Timeout = None

    def look(self, scene: Scene, until: Deadline) -> Seen:
        """Look once; see Check."""
        fields = entry(scene, "passwd", self.name, 7, until)
        if not fields:
            return Seen(not self.exists, "does not exist")
        if not self.exists:
            return Seen(False, "exists: expected no, got yes")
        clauses = [
            wrong("uid", self.uid, int(fields[2])) if self.uid else "",
            wrong("home", self.home, fields[5]) if self.home else "",
            wrong("shell", self.shell, fields[6]) if self.shell else "",
        ]
        if self.group:
            primary = scene.machine.command(["id", "-gn", self.name], deadline=until).output.strip()
            clauses.append(wrong("group", self.group, primary))
        if self.member:
            groups = scene.machine.command(["id", "-Gn", self.name], deadline=until).output.split()
            clauses += [wrong_member(one, groups) for one in self.member]
        return of(f"UID {fields[2]}", clauses)


def entry(scene: Scene, database: str, name: str, count: int, until: Deadline) -> list[str]:
    """Return the `count` fields of a user or a group, of which the third is its number; nothing if there is none.

    Raises CannotTellError if getent(1) does not work.
    """
    found = scene.machine.command(["getent", database, name], deadline=until)
    fields = found.output.strip().split(":")
    if found.status not in (0, 2) or (found.status == 0 and (len(fields) != count or not _ID.fullmatch(fields[2]))):
        raise CannotTellError("getent(1) of the machine does not work", why=found.output)
    return fields if found.status == 0 else []


def wrong_member(expected: Text, names: list[str]) -> str:
    """Return how a list of names differs from what is expected, as a clause; empty if it does not."""
    if (expected.value in names) != expected.is_negated:
        return ""
    return f"member: expected {expected.expected()}, got {', '.join(names) or 'none'}"
