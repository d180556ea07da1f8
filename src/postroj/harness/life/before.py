"""The state of the machine before the packages are installed for the first time."""

from postroj.harness.job import Job
from postroj.harness.life import accounts, diverted


def arm(job: Job) -> None:
    """Have it noted when the first installation begins, and what the packages need is there."""
    job.before_installing = lambda: _note(job)


def _note(job: Job) -> None:
    job.accounts_before = accounts.read(job)
    job.diverted_before = diverted.read(job)
    job.changes_before = job.machine.changes().files if job.machine.capabilities.changes else {}
