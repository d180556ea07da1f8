"""A verdict as one page for a browser: no script, nothing to fetch, and all that a guest has said is escaped."""

import itertools
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from postroj import __version__
from postroj.harness.life.rules import RULES
from postroj.harness.result import Result, UnitRow, cause_of
from postroj.probe import Finding
from postroj.report.groups import WORDS, Group, by_unit, groups, is_tolerated, iso
from postroj.report.text import VERDICTS, count


class View(NamedTuple):
    """What a page shows of a result."""

    result: Result
    word: str
    """The verdict."""
    told: str
    """How many checks have passed."""
    groups: Sequence[tuple[Group, Sequence[int]]]
    """The phases, each with the numbers of its findings."""
    first: int
    """The number of the finding that is the reason of the verdict; 0 for none."""
    units: Mapping[str, Sequence[UnitRow | None]]


def render(result: Result) -> str:
    """Return the page."""
    return environment().get_template("page.html.jinja").render(view=view(result))


def environment(*directories: str) -> Environment:
    """Return what renders templates: those of other directories, and those that are here."""
    made = Environment(
        loader=FileSystemLoader([*directories, os.path.dirname(__file__)]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    made.filters.update(iso=iso, key=_key, seconds=_seconds, word=_word)
    made.globals.update(words=WORDS, rules=RULES, version=__version__)
    return made


def view(result: Result) -> View:
    """Return what a page shows of a result."""
    found, count_on = groups(result), itertools.count(1)
    numbers = [[next(count_on) for _ in group.findings] for group in found]
    return View(
        result,
        VERDICTS[result.verdict][0],
        count(result),
        list(zip(found, numbers, strict=True)),
        _number(cause_of(result), found, numbers),
        by_unit(result.phases),
    )


def _number(wanted: Finding | None, found: Sequence[Group], numbers: Sequence[Sequence[int]]) -> int:
    """Return the number of a finding; 0 for none."""
    for group, of_group in zip(found, numbers, strict=True):
        for finding, number in zip(group.findings, of_group, strict=True):
            if finding is wanted:
                return number
    return 0


def _key(finding: Finding) -> frozenset[str]:
    """Return the lines of a finding's evidence that say most; none if it has passed, or they are not known."""
    evidence = frozenset() if finding.passed else frozenset(finding.evidence.split("\n"))
    return evidence & frozenset(finding.excerpt.split("\n")) - {""}


def _word(finding: Finding) -> str:
    return "tolerated" if is_tolerated(finding) else WORDS[finding.outcome]


def _seconds(seconds: float) -> str:
    """Return a duration as it is read with ease: `0.04 s`, `12.3 s`, `3 min 20 s`."""
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"
