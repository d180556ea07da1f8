"""Results of all kinds, for each format of a report."""

from postroj.errors import HostError, InterruptedProbeError
from postroj.harness.result import PhaseResult, Result, Tested, UnitRow
from postroj.probe import Finding, Outcome

BEGUN = 1_795_872_155.0
HOSTILE = (
    "\x1b]0;title\x07\x1b[2J\x00\x08\x7f\x85\u202e\ufffe\udce9 ]]>&amp;<script>alert(1)</script>\" ' | # TODO \\ % %0A "
    "::error::x ##[error]y `` [a](http://h) <b> {{ 7*7 }} # SKIP"
)
"""Control characters, lone surrogates, and what is special in XML, HTML, Markdown, TAP, YAML or GitHub's commands."""
HOSTILE_LINES = (
    f"  {HOSTILE}\nBail out!\nnot ok 1\n  ...\n1..0\n::stop-commands::x\n```\n</pre>\r\rx\u2028y\n{HOSTILE}\n"
)

PASSED = Finding("unit web.service", Outcome.PASSED, "active (running)", phase="check", seconds=4.05)
FAILED = Finding(
    "unit web.service",
    Outcome.FAILED,
    "failed (Result: exit-code): status 3: no configuration",
    "● web.service - Test service web\n     Loaded: loaded\n\nNov 28 web[31]: no configuration",
    "see its journal",
    "● web.service - Test service web\nNov 28 web[31]: no configuration",
    phase="check",
    seconds=0.2,
)
INSTALLED = Finding(
    "package ./web.deb", Outcome.PASSED, "installed", "$ apt-get install ./web.deb", phase="install", seconds=1.1
)
UNKNOWN = Finding(
    "unit vpn.service", Outcome.UNKNOWN, "cannot start in this machine: there is no /dev/net/tun",
    hint="take --device=/dev/net/tun", phase="check", seconds=0.1,
)  # fmt: skip
SKIPPED = Finding(
    "network tcp://localhost:80", Outcome.SKIPPED, "not tried, because of unit web.service", phase="check"
)
WEB = Tested("web", "1.0-1", "all", "deb", "/tmp/web.deb", "./web.deb")
PHASES = (PhaseResult("install", 1.2), PhaseResult("check", 4.3))


def _of(*findings: Finding, **more: object) -> Result:
    result = Result("debian-bookworm", list(findings), 5.678, None, PHASES, (WEB,), BEGUN)
    return result._replace(**more)  # type: ignore[arg-type]


def _row(**more: object) -> UnitRow:
    return UnitRow("web.service", "enabled", "active (running)", BEGUN, 0, 231)._replace(**more)  # type: ignore[arg-type]


LIFE = _of(
    INSTALLED._replace(notes=("web.service:6: Unknown key 'Foo', ignoring",)),
    PASSED,
    PASSED._replace(phase="reboot", seconds=2.5, detail="active (running) after a reboot"),
    Finding("phase reload", Outcome.SKIPPED, "not tried", phase="reload"),
    Finding(
        "service web.service", Outcome.FAILED, "ran before the upgrade, and is stopped after it",
        "\n".join(f"Nov 28 13:00:{n:02} web dpkg[{n}]: line {n}" for n in range(40)),
        "restart it in postinst", "", (), "upgrade", "stops-service", 3.25,
    ),
    Finding(
        "left after remove", Outcome.PASSED, "/var/lib/web; --allow=left-after-remove allows it",
        phase="remove", rule="left-after-remove", seconds=0.01,
    ),
    phases=(
        PhaseResult("install", 1.2, [_row()]),
        PhaseResult("check", 4.3, [_row(), _row(unit="web.socket", active="active (listening)", pid=0)]),
        PhaseResult("reboot", 2.6, [_row(restarts=1, pid=77)]),
        PhaseResult("reload", 0.0, [_row()], ("no unit has an ExecReload=",)),
        PhaseResult("upgrade", 75.0, [_row(active="inactive (dead)", since=0.0, pid=0)]),
        PhaseResult("remove", 0.9, [_row(active="not-found", enabled="", since=0.0, pid=0)]),
        PhaseResult("purge", 0.0, [], ("rpm knows no purge",)),
    ),
    seconds=95.5,
)  # fmt: skip

RESULTS = {
    "passed": _of(INSTALLED, PASSED),
    "failed": _of(INSTALLED, FAILED, SKIPPED),
    "unknown": _of(INSTALLED, UNKNOWN),
    "life": LIFE,
    "error": _of(
        INSTALLED, error=HostError("the disk of the host is full", why="No space left\non device", hint="free some"),
        phases=PHASES[:1],
    ),
    "error before the boot": _of(error=HostError("the image is damaged"), phases=(), packages=(), begun=0.0, image=""),
    "a header's fault": _of(Finding("package ./web.deb", Outcome.FAILED, "is for arm64"), phases=()),
    "interrupted": _of(INSTALLED, error=InterruptedProbeError(2), phases=PHASES[:1]),
    "nothing": _of(phases=()),
    "hostile": _of(
        Finding(HOSTILE, Outcome.FAILED, HOSTILE, HOSTILE_LINES, HOSTILE, HOSTILE_LINES, (HOSTILE,), HOSTILE, HOSTILE),
        Finding(HOSTILE_LINES, Outcome.SKIPPED, HOSTILE_LINES, phase="check"),
        Finding(HOSTILE, Outcome.PASSED, HOSTILE, HOSTILE_LINES, rule=HOSTILE, phase="check"),
        image=HOSTILE,
        error=HostError(HOSTILE, why=HOSTILE_LINES, hint=HOSTILE),
        phases=(PhaseResult(HOSTILE, 1.0, [UnitRow(HOSTILE, HOSTILE, HOSTILE)], (HOSTILE_LINES,)), *PHASES),
        packages=(Tested(*[HOSTILE] * 6),),
    ),
    "long": _of(
        FAILED._replace(evidence="\n".join(f"line {n}" for n in range(100_000)), detail="x" * 10**6),
        FAILED._replace(subject="unit b", evidence="\x00" * 10**6),
    ),
}  # fmt: skip
