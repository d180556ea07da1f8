"""What maintainer scripts have told dpkg of files: diversions, and overrides of owners and modes."""

from collections.abc import Sequence

from postroj.harness.job import Job


def read(job: Job) -> frozenset[str]:
    """Return all that is set now."""
    return frozenset((*diversions(job), *overrides(job)))


def diversions(job: Job) -> list[str]:
    """Return the diversions, as dpkg-divert(1) calls them: `diversion of FILE to FILE by PACKAGE`."""
    return _listed(job, job.family.diversions if job.family else ())


def overrides(job: Job) -> list[str]:
    """Return the overrides: `override of owner, group and mode: root shadow 2755 FILE`, dpkg-statoverride(1)."""
    listed = _listed(job, job.family.overrides if job.family else ())
    return [f"override of owner, group and mode: {line}" for line in listed]


def _listed(job: Job, command: Sequence[str]) -> list[str]:
    return job.machine.command(command, deadline=job.deadline).output.splitlines() if command else []
