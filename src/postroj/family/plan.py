"""What a package manager is about to do."""

from typing import NamedTuple


class Step(NamedTuple):
    """One package that is installed."""

    name: str
    version: str
    old: str
    """The version that was there; empty for none."""
    is_local: bool
    """Whether it comes from a file, and needs no download."""


class Plan(NamedTuple):
    """All that a package manager does for the packages that are asked for."""

    installed: tuple[Step, ...] = ()
    removed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    """Recommended packages of which no source is known."""
    unchanged: tuple[str, ...] = ()
    """Packages that were asked for, and that it leaves as they are: they are there in the same version."""

    @property
    def needs_lists(self) -> bool:
        """Return whether something in it may come from the repositories: a download, or a recommended package."""
        return bool(self.missing) or not all(step.is_local for step in self.installed)

    def version_of(self, name: str) -> str:
        """Return the version of a package that is installed; empty if it stays as it is."""
        return next((step.version for step in self.installed if step.name == name), "")
