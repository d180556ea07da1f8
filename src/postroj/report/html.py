"""A verdict as one page for a browser: no script, nothing to fetch, and all that a guest has said is escaped."""

import itertools
import os
from collections.abc import Sequence

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from postroj import __version__
from postroj.harness.life.rules import RULES
from postroj.harness.result import Result, cause_of
from postroj.probe import Finding
from postroj.report.groups import WORDS, Group, by_unit, groups, is_tolerated, iso
from postroj.report.text import VERDICTS, count


def render(result: Result) -> str:
    """Return the page."""
    environment = Environment(
        loader=FileSystemLoader(os.path.dirname(__file__)),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters.update(iso=iso, key=_key, seconds=_seconds, word=_word)
    template = environment.get_template("page.html.jinja")
    found, count_on = groups(result), itertools.count(1)
    numbers = [[next(count_on) for _ in group.findings] for group in found]
    return template.render(
        result=result,
        word=VERDICTS[result.verdict][0],
        count=count(result),
        groups=list(zip(found, numbers, strict=True)),
        first=_number(cause_of(result), found, numbers),
        words=WORDS,
        units=by_unit(result.phases),
        rules=RULES,
        version=__version__,
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
