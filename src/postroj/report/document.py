"""The JSON report as it is published: it stays as it is, whatever becomes of the types that postroj itself uses.

A field may be added at any time. SCHEMA_VERSION grows when one is removed, or means something else. The published
schema is made of this: `python -m postroj.report.document > docs/report.schema.json`.
"""

import enum
import json
from typing import Annotated

import msgspec
from msgspec import Meta

SCHEMA_VERSION = 1

_Seconds = Annotated[float, Meta(ge=0, description="A duration in seconds.")]
_Moment = Annotated[
    str | None,
    Meta(description="A moment in UTC, as ISO 8601 writes it: 2026-11-28T13:22:35Z. null if there is none."),
]
_Notes = Annotated[list[str], Meta(description="What is to be said of it besides, each in one line.")]


class Verdict(enum.Enum):
    """What is said of the packages; unknown: postroj or the host has failed, or this machine cannot tell."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Outcome(enum.Enum):
    """What a check has come to; unknown: this machine cannot tell; skipped: not tried, because another has failed."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"


class Error(msgspec.Struct):
    """What has broken a probe off: an error of postroj or of the host, never of the package."""

    kind: Annotated[str, Meta(description="Its name in postroj.errors: HostError.")]
    what: Annotated[str, Meta(description="What happened, in one line.")]
    why: Annotated[str, Meta(description="What the failing part has said; may be many lines.")]
    hint: Annotated[str, Meta(description="What to do next; may be empty.")]


class Package(msgspec.Struct):
    """A package under test."""

    name: Annotated[str, Meta(description="Its name, as its file says, or the user.")]
    version: Annotated[str, Meta(description="Its version; empty if it is not known.")]
    architecture: Annotated[str, Meta(description="As its file says; empty for a name from repositories.")]
    format: Annotated[str, Meta(description="deb, rpm or arch; empty for a name from repositories.")]
    file: Annotated[str, Meta(description="Where it is on the host; empty for a name from repositories.")]
    reference: Annotated[str, Meta(description="As it was given by --package.")]


class Unit(msgspec.Struct):
    """What a unit was at the end of a phase."""

    unit: Annotated[str, Meta(description="Its full name: web.service.")]
    enabled: Annotated[str, Meta(description="As `systemctl is-enabled` prints it; empty if it has no unit file.")]
    active: Annotated[str, Meta(description="Its state: active (running); not-found if it is gone.")]
    since: _Moment
    restarts: Annotated[int, Meta(ge=0, description="How often Restart= has restarted it since the boot.")]
    pid: Annotated[int, Meta(ge=0, description="The PID of its main process, in the machine; 0 for none.")]


class Phase(msgspec.Struct):
    """A phase of a package's life."""

    name: Annotated[str, Meta(description="As in docs/lifecycle.md: upgrade; the second one of a name is check-2.")]
    seconds: _Seconds
    units: Annotated[list[Unit], Meta(description="The units at its end; empty without --lifecycle and --phase.")]
    notes: _Notes


class Finding(msgspec.Struct):
    """What a check has found."""

    name: Annotated[str, Meta(description="Stays the same from run to run: upgrade/unit/web.service.")]
    phase: Annotated[str, Meta(description="The name of its phase; empty for what was found before a boot.")]
    subject: Annotated[str, Meta(description="What was checked: unit web.service.")]
    outcome: Outcome
    detail: Annotated[str, Meta(description="What was found, in one line.")]
    rule: Annotated[str, Meta(description="The rule of docs/lifecycle.md that is broken; empty for none.")]
    seconds: _Seconds
    hint: Annotated[str, Meta(description="What to do next; may be empty.")]
    evidence: Annotated[str, Meta(description="What was printed; the last 65,536 characters of it.")]
    excerpt: Annotated[str, Meta(description="The lines of the evidence that say most; may be empty.")]
    notes: _Notes


class Report(msgspec.Struct):
    """What `postroj pkgprobe` has found."""

    schema_version: Annotated[int, Meta(ge=1, description="The version of this schema.")]
    postroj: Annotated[str, Meta(description="The version of postroj.")]
    image: Annotated[str, Meta(description="The name of the image; empty if it was not found.")]
    verdict: Verdict
    exit_status: Annotated[int, Meta(ge=0, le=255, description="The exit status of `postroj pkgprobe`.")]
    reason: Annotated[str, Meta(description="Why it has not passed, in one line; empty if it has.")]
    started: _Moment
    seconds: _Seconds
    error: Error | None
    packages: Annotated[list[Package], Meta(description="The packages under test.")]
    phases: Annotated[list[Phase], Meta(description="The phases that were begun, in their order.")]
    findings: Annotated[list[Finding], Meta(description="What was found, in the order in which it was.")]


def schema() -> str:
    """Return the JSON Schema of a report."""
    return schema_of(Report, "postroj report")


def schema_of(model: type[msgspec.Struct], title: str) -> str:
    """Return the JSON Schema of a document, as it is published."""
    about = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}
    return json.dumps({**about, **msgspec.json.schema(model)}, indent=2) + "\n"


if __name__ == "__main__":
    print(schema(), end="")
