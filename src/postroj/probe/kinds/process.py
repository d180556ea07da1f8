"""Processes of a name run in the guest."""

from typing import Annotated, NamedTuple

from postroj.contract import Running
from postroj.deadline import Deadline
from postroj.probe.judge import Scene, Seen, of
from postroj.probe.values import NUMBER, USER, Key, Numbers, Text, Timeout, like, numbers, wrong

_LONGEST_NAME = 15


def _user(operator: str, written: str) -> Text:
    return Text(operator, like(USER, "cannot be a user's name")(operator, written))


_Count = Annotated[
    Numbers, Key(numbers(), "count=2 or count=1-8 or count=0", "how many; one or more by default", NUMBER)
]
_SOME = Numbers("=", "1-", ((1, 2**32),))


class Process(NamedTuple):
    """Processes of a name run. The first 15 characters count: the kernel keeps no more."""

    name: Annotated[
        str, Key(like(r"[^/\s][^/]{0,255}", "cannot be a process's name"), "process nginx", "as ps(1) shows it")
    ]
    user: Annotated[Text | None, Key(_user, "user=www-data", "the user, or UID, of all of them")] = None
    count: _Count = _SOME  # type: ignore[assignment]  # a tuple has a method of this name, which is not used
    timeout: Timeout = None

    def look(self, scene: Scene, until: Deadline) -> Seen:
        """Look once; see Check."""
        found = [one for one in scene.machine.processes() if one.name == self.name[:_LONGEST_NAME]]
        clauses = [wrong("count", self.count, len(found))]
        if self.user and found:
            clauses.append(self._wrong_user(scene, found, until))
        evidence = "\n".join(f"PID {one.pid}, UID {one.uid}, {one.unit}" for one in found)
        return of("runs" if len(found) == 1 else f"{len(found)} of them", clauses, evidence)

    def _wrong_user(self, scene: Scene, found: list[Running], until: Deadline) -> str:
        assert self.user
        user = self.user.value
        uids = sorted({one.uid for one in found})
        if user.isdecimal():
            return "" if uids == [int(user)] else f"user: expected {user}, got {', '.join(map(str, uids))}"
        # One line for each that there is, in the order of the question.
        asked = scene.machine.command(["getent", "passwd", user, *map(str, uids)], deadline=until).output
        entries = [line.split(":") for line in asked.splitlines() if line.count(":") == 6]
        names = {fields[2]: fields[0] for fields in reversed(entries)}
        if not entries or entries[0][0] != user:
            return f"user: expected {user}, which does not exist"
        if all(str(uid) == entries[0][2] for uid in uids):
            return ""
        return f"user: expected {user}, got {', '.join(names.get(str(uid), str(uid)) for uid in uids)}"
