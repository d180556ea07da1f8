"""What a guest's systemd does with units, by systemctl(1): see contract.System."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from postroj.deadline import Deadline

if TYPE_CHECKING:
    from postroj.contract import Completed, FileFacts, Machine


class Systemd:
    """The systemd of a machine."""

    name = "systemd"
    family = ""

    def __init__(self, machine: "Machine") -> None:
        self._machine = machine

    def read_again(self, *, deadline: Deadline) -> None:
        """Have it generate units of init scripts; see System."""
        self._systemctl("daemon-reload", deadline=deadline)

    def enable(self, names: Sequence[str], *, deadline: Deadline) -> "Completed":
        """Enable them; see System."""
        return self._systemctl("enable", "--", *names, deadline=deadline)

    def start(self, names: Sequence[str], *, wait: bool, deadline: Deadline) -> "Completed":
        """Start them; see System."""
        return self._systemctl("start", *([] if wait else ["--no-block"]), "--", *names, deadline=deadline)

    def restart(self, names: Sequence[str], *, deadline: Deadline) -> "Completed":
        """Restart them; see System."""
        return self._systemctl("restart", "--", *names, deadline=deadline)

    def reload(self, name: str, *, deadline: Deadline) -> "Completed":
        """Reload one; see System."""
        return self._systemctl("reload", "--", name, deadline=deadline)

    def bar(self, names: Sequence[str], *, masked: bool, deadline: Deadline) -> "Completed":
        """Disable or mask them; see System."""
        return self._systemctl("mask" if masked else "disable", "--now", "--", *names, deadline=deadline)

    def unbar(self, names: Sequence[str], *, deadline: Deadline) -> "Completed":
        """Unmask them; see System."""
        return self._systemctl("unmask", "--", *names, deadline=deadline)

    def why(self, name: str) -> str:
        """Return nothing: probe.reason tells more."""
        return ""

    def shown(self, name: str) -> str:
        """Return nothing: probe.evidence tells more."""
        return ""

    def file(self, path: str, *, deadline: Deadline) -> "FileFacts | None":
        """Return nothing: stat(1) tells more."""
        return None

    def _systemctl(self, *words: str, deadline: Deadline) -> "Completed":
        return self._machine.command(["systemctl", *words], deadline=deadline)
