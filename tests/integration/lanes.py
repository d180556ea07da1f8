"""Lanes of tests that run at the same time: their progress is told every minute, and summed up at the end."""

import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

OUTPUTS = Path("build/hosts")
"""Relative to the repository, as hosts have that at another place."""

_TELL_SECONDS = 60.0
_NO_TESTS = 5
"""Exit status of pytest if no test was selected."""
_LAST_LINES = 60
# What pytest --verbose prints.
_TEST = re.compile(r"(?P<test>\S.*) (?P<outcome>PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)( \(.*\))?( +\[ *\d+%\])?$")
_COLLECTED = re.compile(r"^(collecting \.\.\. )?collected (?P<all>\d+) items?(.* (?P<selected>\d+) selected)?")
_FAILURES = re.compile(r"^=+ (FAILURES|ERRORS) =+$", re.MULTILINE)


class _Lane:
    """A lane, and how far it has come."""

    def __init__(self, name: str, what: str) -> None:
        self.name, self.what = name, what
        self.output = file_of(name, ".txt")
        self.selected = self.passed = self.failed = self.skipped = 0
        self.status: int | None = None
        self.process: subprocess.Popen[str] | None = None
        self.began = 0.0

    def run(self, command: Sequence[str]) -> None:
        """Run it to its end, and follow what it prints; it is told to end if this process dies."""
        self.began = time.monotonic()
        with (
            open(self.output, "w") as output,
            subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            ) as self.process,
        ):
            assert self.process.stdout is not None
            for line in self.process.stdout:
                output.write(line)
                output.flush()
                self._follow(line.rstrip("\n"))
        self.status = self.process.returncode

    def _follow(self, line: str) -> None:
        if collected := _COLLECTED.match(line):
            self.selected = int(collected["selected"] or collected["all"])
        elif test := _TEST.match(line):
            if test["outcome"] in ("FAILED", "ERROR"):
                self.failed += 1
                say(f"{test['outcome']} {self.name}: {test['test']}")
            elif test["outcome"] == "SKIPPED":
                self.skipped += 1
            else:
                self.passed += 1

    def progress(self) -> str:
        return f"{self.name} {self.passed + self.failed + self.skipped}/{self.selected or '?'}"

    def counts(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"

    def told(self, some: bool) -> bool:
        """Say how it has ended, and what failed; return whether it is as it should be."""
        good = self.status == 0 or (some and self.status == _NO_TESTS)
        verdict = "passed" if good else f"FAILED with status {self.status}"
        say(f"{self.name} ({self.what}): {verdict} after {time.monotonic() - self.began:.0f} s: {self.counts()}")
        if not good:
            say(f"{self._excerpt()}\n=== all of it: {self.output} ===")
            self.failed = self.failed or 1  # the host itself, say
        return good

    def _excerpt(self) -> str:
        text = self.output.read_text()
        if found := _FAILURES.search(text):
            return text[found.start() :]
        return "\n".join(text.splitlines()[-_LAST_LINES:])


def file_of(name: str, suffix: str) -> Path:
    """Return where a lane's file is kept."""
    return OUTPUTS / f"{name.replace('/', '-')}{suffix}"


def run(names: Mapping[str, str], command: Callable[[str], Sequence[str]], *, at_once: int, some: bool) -> int:
    """Run the command of each lane; `names` says what each is, by its name. Return the exit status.

    So many run at the same time, the first ones first. `some`: the user has chosen tests, so that a lane may have none.
    """
    began = time.monotonic()
    all_lanes = [_Lane(name, what) for name, what in names.items()]
    good = 0
    with ThreadPoolExecutor(at_once) as executor:
        running = {executor.submit(lane.run, command(lane.name)): lane for lane in all_lanes}
        tell_at = began + _TELL_SECONDS
        try:
            while running:
                done, _ = wait(running, max(tell_at - time.monotonic(), 0), "FIRST_COMPLETED")
                for future in done:
                    future.result()
                    good += running.pop(future).told(some)
                if not done:
                    tell_at += _TELL_SECONDS
                    minutes = (time.monotonic() - began) / 60
                    begun = [lane.progress() for lane in running.values() if lane.process]
                    say(f"{minutes:.0f} min: " + ", ".join(begun))
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            for lane in all_lanes:
                if lane.process is not None:
                    lane.process.terminate()
            raise
    say(f"{good} of {len(all_lanes)} lanes passed after {time.monotonic() - began:.0f} s; see {OUTPUTS}")
    passed = sum(lane.passed for lane in all_lanes)
    failed = sum(lane.failed for lane in all_lanes)
    skipped = sum(lane.skipped for lane in all_lanes)
    say(f"{passed} passed, {failed} failed, {skipped} skipped")
    if good < len(all_lanes):
        return 1
    return 0 if passed or skipped else _NO_TESTS


def say(text: str) -> None:
    """Print it at once, whoever reads it: a terminal, or a log."""
    print(text, flush=True)
