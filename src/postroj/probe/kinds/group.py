"""A group of the guest."""

from typing import Annotated, NamedTuple

from postroj.deadline import Deadline
from postroj.probe.judge import Scene, Seen, of
from postroj.probe.kinds.user import entry, wrong_member
from postroj.probe.values import NUMBER, USER, Key, Numbers, Text, Timeout, like, numbers, text, wrong, yes_or_no


class Group(NamedTuple):
    """A group exists, as the guest's getent(1) has it."""

    name: Annotated[str, Key(like(USER, "cannot be a group's name"), "group docker", "its name")]
    exists: Annotated[bool, Key(yes_or_no, "exists=no", "`no`: it must not exist")] = True
    gid: Annotated[Numbers | None, Key(numbers(), "gid=1-999", "its GID", NUMBER)] = None
    member: Annotated[
        tuple[Text, ...],
        Key(text, "member=www-data", "a user in its list, which lacks those whose primary group it is", NUMBER,
            repeatable=True),
    ] = ()  # fmt: skip
    timeout: Timeout = None

    def look(self, scene: Scene, until: Deadline) -> Seen:
        """Look once; see Check."""
        fields = entry(scene, "group", self.name, 4, until)
        if not fields:
            return Seen(not self.exists, "does not exist")
        if not self.exists:
            return Seen(False, "exists: expected no, got yes")
        members = [name for name in fields[3].split(",") if name]
        clauses = [wrong("gid", self.gid, int(fields[2])) if self.gid else ""]
        return of(f"GID {fields[2]}", clauses + [wrong_member(one, members) for one in self.member])
