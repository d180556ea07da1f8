"""Files in /etc as an administrator changes them, and whether an upgrade keeps them."""

from collections.abc import Mapping, Sequence

from postroj.harness.job import Job
from postroj.harness.life import left
from postroj.harness.life.rules import broken
from postroj.probe import Outcome

_MOST = 200
# An empty line at the end changes no file's meaning; what is not text is left alone.
_EDIT = r"""
for file; do
    if [ -f "$file" ] && [ ! -L "$file" ] && LC_ALL=C grep -qI . -- "$file"; then
        echo >>"$file"
        sum=$(sha256sum <"$file")
        printf '%s %s\n' "${sum%% *}" "$file"
    fi
done
"""
_SUM = r"""
for file; do
    sum=-
    [ ! -f "$file" ] || sum=$(sha256sum <"$file")
    printf '%s %s\n' "${sum%% *}" "$file"
done
"""


def check_untouched(job: Job) -> None:
    """Find the conffiles that are not as their packages have them, before anybody else has changed them.

    Only dpkg asks about these at an upgrade: rpm and pacman keep what was changed without a word.
    """
    if not job.family or not job.family.asks_about_config or not job.passed:
        return
    output = job.machine.command(job.family.integrity(job.names), deadline=job.deadline).output
    for path in job.family.read_changed_config(output):
        told = "is not as the package has it, right after the installation: a maintainer script or a service changed it"
        broken(job, "changes-conffile", f"conffile {path}", f"{told}, and an upgrade will ask about it")


def edit(job: Job) -> Mapping[str, str]:
    """Change the files in /etc that the packages ship, or have made; returns their SHA-256 sums, by path."""
    if not job.family:
        return {}
    made = [path for path, change in left.new(job).items() if path.startswith("/etc/") and change.what == "added"]
    return _run(job, _EDIT, list(dict.fromkeys([*_files(job), *made]))[:_MOST])


def _files(job: Job) -> list[str]:
    """Return the files in /etc that the packages ship."""
    return [path for path in job.files() if path.startswith("/etc/")]


def tell(job: Job, edited: Mapping[str, str]) -> None:
    """Say with each unit that has failed since which files were changed: it may be that which it does not bear."""
    if not edited:
        return
    some = f"{next(iter(edited))}{f' and {len(edited) - 1} more' if len(edited) > 1 else ''}"
    for one in job.current:
        is_of_service = one.rule in ("", "stops-service") and "is gone" not in one.detail
        if one.outcome is Outcome.FAILED and one.subject.startswith("unit ") and is_of_service:
            told = f"before it, postroj has added an empty line to {some}, as an administrator may"
            job.add(one._replace(detail=f"{one.detail}; {told}"))


def check_kept(job: Job, edited: Mapping[str, str]) -> None:
    """Find the files that are not as they were changed."""
    now = _run(job, _SUM, list(edited))
    shipped = _files(job)
    for path, digest in edited.items():
        if now.get(path) == digest:
            continue
        beside = _beside(job, path)
        is_gone = now.get(path, "-") == "-"
        kept = beside if path not in shipped else ""
        if is_gone and not beside:  # dpkg lists a conffile that was moved until the next upgrade
            kept = _moved(job, digest, [one for one in shipped if one not in edited])
        if kept:
            job.phase_notes.append(f"{path} is no longer shipped; the changed one is {kept} now")
            continue
        what = "is gone" if is_gone else "was overwritten"
        told = f"{what}, although the administrator has changed it" + (
            f"; what he had is in {beside}" if beside else ""
        )
        broken(job, "config-overwritten", f"file {path}", told)


def _moved(job: Job, digest: str, shipped: Sequence[str]) -> str:
    """Return the file that has what was in another one, as mv_conffile of dpkg-maintscript-helper(1) has it."""
    return next((path for path, found in _run(job, _SUM, shipped[:_MOST]).items() if found == digest), "")


def _beside(job: Job, path: str) -> str:
    """Return the file that a package manager has moved a changed one to."""
    assert job.family
    candidates = [f"{path}{suffix}" for suffix in job.family.saved_config]
    found = _run(job, _SUM, candidates)
    return next((candidate for candidate in candidates if found.get(candidate, "-") != "-"), "")


def _run(job: Job, script: str, paths: Sequence[str]) -> Mapping[str, str]:
    """Return what a script prints of files: a word each, by path."""
    if not paths:
        return {}
    done = job.machine.command(["sh", "-c", script, "sh", *paths], deadline=job.deadline)
    pairs = (line.partition(" ") for line in done.output.splitlines())
    return {path: word for word, _, path in pairs if path in paths}
