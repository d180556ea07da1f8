"""A verdict as text for a terminal."""

from collections.abc import Callable, Iterator

from postroj.pkgprobe import Result
from postroj.report import printable


def lines(result: Result, paint: Callable[[str, str], str]) -> Iterator[str]:
    """The report, line by line; `paint` colours a text: green, red or bold."""
    for finding in result.findings:
        mark = paint("ok  ", "green") if finding.passed else paint("FAIL", "red")
        yield f"{mark} {printable(finding.subject)}: {printable(finding.detail)}"
        for line in finding.evidence.splitlines():
            yield f"     | {printable(line)}".rstrip()
    verdict = paint("PASSED", "green") if result.passed else paint("FAILED", "red")
    failed = sum(not finding.passed for finding in result.findings)
    count = (
        f"{failed} of {len(result.findings)} checks failed"
        if failed
        else "1 check"
        if len(result.findings) == 1
        else f"{len(result.findings)} checks"
    )
    yield f"{verdict} {result.image}: {count}, {result.seconds:.1f} s"
