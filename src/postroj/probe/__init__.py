"""Probes: one check each on a running machine."""

from typing import NamedTuple


class Finding(NamedTuple):
    """What a probe, or the installation, has found."""

    subject: str
    """What was checked: `unit webfs.service`."""
    passed: bool
    detail: str
    """One line: `active (running)`."""
    evidence: str = ""
    """Many lines, for a failure: the unit's status and its journal."""
