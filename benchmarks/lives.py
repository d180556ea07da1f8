"""The whole life of real server packages: `python benchmarks/lives.py [PACKAGE...]`, as root.

Each package of lives.tsv goes through `postroj pkgprobe --lifecycle` on Debian 12, two at once, and the section "Lives"
of docs/survey.md is written: what was found, and whose it is, as lives.tsv says after it was looked at by hand. With
PACKAGE only these are tried; of the others the page has what was said last.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from survey import NETWORK, POSTROJ, lines_of

_HERE = Path(__file__).parent
_LIVES = _HERE / "lives.tsv"
_PAGE = _HERE.parent / "docs/survey.md"
_LOGS = _HERE.parent / "build/lives"
_IMAGE = "debian-bookworm"
_AT_ONCE = 2
_ATTEMPTS = 3

_HEAD = f"""## Lives

What `postroj pkgprobe --image={_IMAGE} --package=PACKAGE --lifecycle` says of {{count}} server packages of Debian
12, written by `benchmarks/lives.py`. Each finding was looked at by hand.

| package | upgraded from | status | seconds | first line | whose it is |
|---|---|---|---|---|---|
"""


class Life(NamedTuple):
    """A row of lives.tsv."""

    package: str
    earlier: str
    """The earlier release, as --upgrade-from= takes it; empty if the archive has none."""
    remark: str


class Answer(NamedTuple):
    """What pkgprobe said."""

    status: int
    first: str
    seconds: float


def main(names: Sequence[str]) -> int:
    """Run it; returns how many findings are not explained."""
    rows = [line.split("\t") for line in lines_of(_LIVES)]
    lives = [Life(*row, *[""] * (3 - len(row))) for row in rows]
    _LOGS.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for package, answer in pool.map(_probe, [one for one in lives if not names or one.package in names]):
            print(f"{package}: {answer.status}, {answer.seconds:.0f} s: {answer.first}", flush=True)
            (_LOGS / f"{package}.json").write_text(json.dumps(answer))
    answers = {one.package: _last(one.package) for one in lives}
    table = [_row(one, answer) for one in lives if (answer := answers[one.package])]
    if len(table) == len(lives):
        page = _PAGE.read_text().partition("## Lives")[0].rstrip("\n")
        _PAGE.write_text(f"{page}\n\n{_HEAD.format(count=len(table))}{''.join(table)}")
    unexplained = [one.package for one in lives if (said := answers[one.package]) and said.status and not one.remark]
    print(f"{len(unexplained)} not explained: {', '.join(unexplained)}")
    return min(len(unexplained), 1)


def _row(life: Life, answer: Answer) -> str:
    told = answer.first.partition(": ")[2].replace("|", "\\|") if answer.status else ""
    return f"| {life.package} | {life.earlier} | {answer.status} | {answer.seconds:.0f} | {told} | {life.remark} |\n"


def _last(package: str) -> Answer | None:
    """Return what was said of a package when it was tried last."""
    kept = _LOGS / f"{package}.json"
    return Answer(*json.loads(kept.read_text())) if kept.exists() else None


def _probe(life: Life) -> tuple[str, Answer]:
    package = life.package
    command = [POSTROJ, "pkgprobe", f"--image={_IMAGE}", f"--package={package}", "--lifecycle"]
    command += [f"--upgrade-from={life.earlier}"] if life.earlier else []
    for attempt in range(_ATTEMPTS):
        started = time.monotonic()
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if attempt + 1 == _ATTEMPTS or not any(word in done.stdout + done.stderr for word in NETWORK):
            break
    (_LOGS / f"{package}.txt").write_text(f"$ {' '.join(command)}\n{done.stdout}\n{done.stderr}")
    first = (done.stdout.splitlines() or done.stderr.splitlines() or [""])[0]
    return package, Answer(done.returncode, first, time.monotonic() - started)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
