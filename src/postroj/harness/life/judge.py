"""Whether all is as it should be after a phase: the units, the addresses, the checks."""

from postroj.harness import steps
from postroj.harness.job import Job


def judge(job: Job) -> None:
    """Judge all that the phase `check` judges, but how the installation has left it."""
    for step in (*steps.JUDGE, steps.find_failed_units):
        step(job)
