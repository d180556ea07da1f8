"""Users and groups that an installation has made."""

from collections.abc import Mapping

from postroj.harness.job import Job

_SCRIPT = r"""
for what in passwd group; do
    while IFS=: read -r name rest; do
        printf '%s %s\n' $what "$name"
    done </etc/$what
done
"""


def read(job: Job) -> frozenset[tuple[str, str]]:
    """Return the accounts that there are: pairs of passwd or group, and a name."""
    if not job.machine.capabilities.linux:
        return frozenset()
    done = job.machine.command(["sh", "-c", _SCRIPT], deadline=job.deadline)
    pairs = (line.partition(" ") for line in done.output.splitlines())
    return frozenset((what, name) for what, _, name in pairs if name)


def made(job: Job) -> Mapping[str, list[str]]:
    """Return the names of the accounts that are new since the first installation, by passwd and group."""
    new = sorted(read(job) - job.before.accounts) if job.before else []
    return {kind: [name for what, name in new if what == kind] for kind in ("passwd", "group")}


def remove_new(job: Job) -> list[str]:
    """Remove them, as an administrator does; returns what was removed."""
    new, gone = made(job), []
    for kind, tool, word in (("passwd", "userdel", "user"), ("group", "groupdel", "group")):
        for name in new[kind]:
            if job.machine.command([tool, "--", name], deadline=job.deadline).status == 0:
                gone.append(f"the {word} {name}")
    return gone
