"""What a probe has come to so far: whatever breaks it off, there is a result."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from postroj.errors import PostrojError
from postroj.harness.baseline import compare
from postroj.harness.request import Request
from postroj.harness.result import Result, Tested
from postroj.probe import Finding

if TYPE_CHECKING:
    from postroj.harness.attendant import AnyMachine
    from postroj.harness.job import Job
    from postroj.package.reference import Package


class Progress:
    """What is known of a probe while it runs."""

    def __init__(self, image: str = "") -> None:
        self.image = image
        self.packages: Sequence[Package] = ()
        """Those under test."""
        self.faults: Sequence[Finding] = ()
        """What is wrong with them, found out without a machine."""
        self.baseline: Result | None = None
        """What the same probe has come to with an earlier release; what is not worse than that has not failed."""
        self.job: Job | None = None
        self.machine: AnyMachine | None = None
        self.request = Request()
        """What was asked for."""
        self._begun, self._started = time.time(), time.monotonic()

    def result(self, error: PostrojError | None = None) -> Result:
        """Return what was found so far; `error` is what has broken the probe off, if something has."""
        if self.machine and error:
            error.what, error.why = self.machine.as_on_host(error.what), self.machine.as_on_host(error.why)
        if error:
            error.hint = self._hint(error.hint)
        result = Result(
            self.image,
            [self._as_on_host(finding) for finding in (self.job.findings if self.job else self.faults)],
            time.monotonic() - self._started,
            error,
            tuple(self.job.phases) if self.job else (),
            tuple(map(self._tested, self.packages)),
            self._begun,
        )
        return compare(result, self.baseline) if self.baseline else result

    def _as_on_host(self, finding: Finding) -> Finding:
        """Return a finding with the host's proxies as they are called on the host, and what the host is to do."""
        if not self.machine:
            return finding
        detail, evidence, excerpt = map(self.machine.as_on_host, (finding.detail, finding.evidence, finding.excerpt))
        return finding._replace(detail=detail, evidence=evidence, excerpt=excerpt, hint=self._hint(finding.hint))

    def _hint(self, hint: str) -> str:
        if not hint:
            return ""
        from postroj.harness import fullmachine

        return fullmachine.told(hint, self.request, self.image)

    def _tested(self, package: "Package") -> Tested:
        version = package.version or (self.job.versions.get(package.name, "") if self.job else "")
        return Tested(package.name, version, package.architecture, package.format, package.file, package.reference)
