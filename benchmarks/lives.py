"""The whole life of real server packages: `python benchmarks/lives.py [PACKAGE...]`, as root.

Each package of lives.tsv goes through `postroj pkgprobe --lifecycle` on Debian 12, two at once, and the section "Lives"
of docs/survey.md is written: what was found, and whose it is, as lives.tsv says after it was looked at by hand. With
PACKAGE only these are tried, and only printed.
"""

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

| package | status | seconds | first line | whose it is |
|---|---|---|---|---|
"""


class Life(NamedTuple):
    """A row of lives.tsv."""

    package: str
    remark: str


class Answer(NamedTuple):
    """What pkgprobe said."""

    status: int
    first: str
    seconds: float


def main(names: Sequence[str]) -> int:
    """Run it; returns how many findings are not explained."""
    rows = [line.split("\t") for line in lines_of(_LIVES)]
    lives = [Life(row[0], row[1] if len(row) > 1 else "") for row in rows if not names or row[0] in names]
    _LOGS.mkdir(parents=True, exist_ok=True)
    table, unexplained = [], 0
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for life, answer in zip(lives, pool.map(_probe, lives), strict=True):
            unexplained += answer.status != 0 and not life.remark
            first = "" if answer.status == 0 else answer.first.partition(": ")[2]
            print(f"{life.package}: {answer.status}, {answer.seconds:.0f} s: {first}", flush=True)
            told = first.replace("|", "\\|")
            table.append(f"| {life.package} | {answer.status} | {answer.seconds:.0f} | {told} | {life.remark} |\n")
    if not names:
        page = _PAGE.read_text().partition("## Lives")[0].rstrip("\n")
        _PAGE.write_text(f"{page}\n\n{_HEAD.format(count=len(table))}{''.join(table)}")
    print(f"{unexplained} not explained")
    return min(unexplained, 1)


def _probe(life: Life) -> Answer:
    command = [POSTROJ, "pkgprobe", f"--image={_IMAGE}", f"--package={life.package}", "--lifecycle"]
    for attempt in range(_ATTEMPTS):
        started = time.monotonic()
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if attempt + 1 == _ATTEMPTS or not any(word in done.stdout + done.stderr for word in NETWORK):
            break
    (_LOGS / f"{life.package}.txt").write_text(f"$ {' '.join(command)}\n{done.stdout}\n{done.stderr}")
    first = (done.stdout.splitlines() or done.stderr.splitlines() or [""])[0]
    return Answer(done.returncode, first, time.monotonic() - started)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
