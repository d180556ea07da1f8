"""A setting of the kernel, as the guest sees it."""

from typing import Annotated, NamedTuple

from postroj.deadline import Deadline
from postroj.probe.judge import Scene, Seen, of
from postroj.probe.values import TEXT, Key, Text, Timeout, like, text, wrong

_NAME = r"(?!.*[./]{2})[A-Za-z0-9_][A-Za-z0-9_./:@*-]{0,200}"


class Sysctl(NamedTuple):
    """A setting of the kernel has a value. Those of the network are the guest's own, most others are the host's."""

    name: Annotated[
        str,
        Key(like(_NAME, "cannot be a kernel setting's name"), "sysctl net.ipv4.ip_forward", "as sysctl(8) takes it"),
    ]
    value: Annotated[Text, Key(text, "value=1", "its value, with one space between words", TEXT, required=True)]
    timeout: Timeout = None

    def look(self, scene: Scene, until: Deadline) -> Seen:
        """Look once; see Check."""
        read = scene.machine.command(["cat", "--", f"/proc/sys/{self._path()}"], deadline=until)
        if read.status != 0:
            return Seen(False, f"cannot be read: {read.output.strip().rpartition(': ')[2]}")
        value = " ".join(read.output.split())
        return of(value, [wrong("value", self.value, value)])

    def _path(self) -> str:
        """Return its path: the first separator tells which of both is one, sysctl(8)."""
        first = next((character for character in self.name if character in "./"), "/")
        return self.name if first == "/" else self.name.translate(str.maketrans("./", "/."))
