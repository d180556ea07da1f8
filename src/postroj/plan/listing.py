"""Cells for those who read, and for CI systems that make a job of each."""

import json
from collections.abc import Callable, Mapping, Sequence

from postroj.errors import UsageError
from postroj.plan.cells import Cell, Cells
from postroj.plan.command import Lacking, command

_MOST_JOBS = 256
"""docs.github.com, "Workflow syntax for GitHub Actions", jobs.<job_id>.strategy.matrix."""
_TEMPLATE = "/postroj.gitlab-ci.yml"
"""Where the template is in a user's repository: docs/ci.md."""
_LONGEST_JOB = 255
"""docs.gitlab.com, "CI/CD jobs", job names."""


def explain(plan: Cells, cells: Sequence[Cell]) -> list[str]:
    """Return what the options of cells are, and where each was set."""
    told: list[str] = []
    for cell in cells:
        told.append(cell.name)
        told += [f"  package = {package.reference}" for package in cell.entry.packages]
        told.append(f"  image = {cell.image.reference}")
        for key, value in plan.options(cell).items():
            told.append(f"  {key} = {_written(value.value)}    ({', '.join(value.origins)})")
        if reason := plan.allowed(cell):
            told.append(f"  may fail: {reason}")
    return told


def _written(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _text(cells: Sequence[Cell], plan: Cells) -> list[str]:
    return [cell.name for cell in cells]


def _json(cells: Sequence[Cell], plan: Cells) -> list[str]:
    lacking = Lacking()
    listed = [
        {
            "cell": cell.name,
            "image": cell.image.name,
            "package": cell.entry.name,
            "variant": cell.variant,
            "allowed_failure": plan.allowed(cell),
            "command": ["postroj", *command(cell, plan.options(cell), lacking)],
        }
        for cell in cells
    ]
    lacking.tell()
    return json.dumps(listed, indent=2).split("\n")


def _github(cells: Sequence[Cell], plan: Cells) -> list[str]:
    """Return one line for `strategy.matrix` of a workflow, through `fromJSON`. Raises UsageError for too many."""
    if len(cells) > _MOST_JOBS:
        what = f"these are {len(cells):,} cells, and {_MOST_JOBS} jobs are the most that a matrix of GitHub has"
        raise UsageError(what, hint="leave some out, or have each job run a shard of them: --shard=1/10")
    names = ("cell", "image", "package", "variant")
    include = [
        dict(zip(names, (cell.name, cell.image.name, cell.entry.name, cell.variant), strict=True)) for cell in cells
    ]
    return [json.dumps({"include": include})]


def _gitlab(cells: Sequence[Cell], plan: Cells) -> list[str]:
    """Return a child pipeline with a job for each cell, with what the command line has set.

    Each extends `.postroj` of the template.

    The child pipeline includes it itself: GitLab lets a trigger have no file beside one that is an artifact
    (gitlab.com/gitlab-org/gitlab/-/issues/321250).
    """
    # A variable of a job may name others: docs.gitlab.com, "Prevent CI/CD variable expansion".
    given = {key: value.replace("$", "$$") for key, value in plan.given.items()}
    jobs = {cell.name: {"extends": ".postroj", "variables": {**given, "POSTROJ_ONLY": cell.name}} for cell in cells}
    if long := [name for name in jobs if len(name) > _LONGEST_JOB]:
        raise UsageError(f"{long[0]} is too long for the name of a job of GitLab, which has {_LONGEST_JOB} characters")
    return json.dumps({"include": [{"local": _TEMPLATE}], **jobs}, indent=2).split("\n")  # JSON is YAML


FORMATS: Mapping[str, Callable[[Sequence[Cell], Cells], list[str]]] = {
    "text": _text,
    "json": _json,
    "github": _github,
    "gitlab": _gitlab,
}
"""By name."""
