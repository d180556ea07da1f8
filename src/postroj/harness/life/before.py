"""The state of the machine before the packages are installed for the first time."""

from postroj.harness.job import Before, Job
from postroj.harness.life import accounts, diverted


def arm(job: Job) -> None:
    """Have it noted when the first installation begins, and what the packages need is there."""
    job.before_installing = lambda: _note(job)


def _note(job: Job) -> None:
    job.before = Before(
        accounts=accounts.read(job),
        diverted=diverted.read(job),
        changes=job.machine.changes().files if job.machine.capabilities.changes else {},
        running=frozenset(process.unit for process in job.machine.processes()),
    )
