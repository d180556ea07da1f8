"""The state of the machine before the first installation."""

from postroj.harness.job import Job, Stage
from postroj.harness.life import accounts


def note(job: Job) -> None:
    """Note what there is, unless something was installed before."""
    if job.stage is Stage.NOTHING:
        job.accounts_before = accounts.read(job)
        job.changes_before = job.machine.changes()
