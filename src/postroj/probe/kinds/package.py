"""A package of the guest's is installed, and at which version."""

from typing import Annotated, NamedTuple

from postroj.deadline import Deadline
from postroj.package.installed import versions
from postroj.probe.judge import CannotTellError, Scene, Seen
from postroj.probe.values import TEXT, Key, Text, Timeout, like, text, yes_or_no

_NAME = r"[A-Za-z0-9][A-Za-z0-9.+_:~-]{0,200}"


class Package(NamedTuple):
    """A package is installed, as the guest's package manager has it."""

    name: Annotated[str, Key(like(_NAME, "cannot be a package's name"), "package nginx", "its name")]
    installed: Annotated[bool, Key(yes_or_no, "installed=no", "`no`: it must not be installed")] = True
    version: Annotated[
        Text | None, Key(text, "version~='^1[.]22'", "its version, with epoch and revision if it has them", TEXT)
    ] = None
    timeout: Timeout = None

    def look(self, scene: Scene, until: Deadline) -> Seen:
        """Look once; see Check."""
        found = versions(scene.machine, scene.family, self.name, deadline=until)
        if found is None:
            raise CannotTellError("the machine has none of dpkg, rpm and pacman")
        told = ", ".join(found) or "not installed"
        if bool(found) != self.installed:
            return Seen(False, f"installed: expected {'yes' if self.installed else 'no'}, got {told}")
        if self.version and found and not any(self.version.fits(one) for one in found):
            return Seen(False, f"version: expected {self.version.expected()}, got {told}")
        return Seen(True, told)
