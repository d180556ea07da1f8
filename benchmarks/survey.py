"""What pkgprobe says of real services: `python benchmarks/survey.py [PACKAGE...]`, as root.

Each row of services.tsv is probed by its unit and address on Debian 12, and docs/survey.md is written: each exit status
beside the one that is right, with the first line of the report. With PACKAGE only these are probed, and only printed.
"""

import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

_HERE = Path(__file__).parent
_SERVICES = _HERE / "services.tsv"
_REMARKS = _HERE / "survey-remarks.tsv"
_PAGE = _HERE.parent / "docs/survey.md"
_IMAGE = "debian-bookworm"
POSTROJ = str(Path(sys.executable).with_name("postroj"))
_ATTEMPTS = 3
NETWORK = ("cannot reach its package repositories", "cannot download")
"""What is said if the archive is out of reach: the package is tried again."""

_HEAD = f"""# Survey: real services

What `postroj pkgprobe --image={_IMAGE} --package=PACKAGE --check-unit=UNIT [--check-network=ADDRESS]` says of {{count}}
packages of Debian 12, written by `benchmarks/survey.py`. Status 0 is passed, 1 the package's fault, 3 no verdict in
a container. {{right}} of {{count}} are as expected; each difference is explained.

| package | unit | address | status | expected | first line, or explanation |
|---|---|---|---|---|---|
"""


class Service(NamedTuple):
    """A row of services.tsv."""

    package: str
    unit: str
    address: str
    expected: int


class Answer(NamedTuple):
    """What pkgprobe said."""

    status: int
    first: str
    seconds: float


def main(names: list[str]) -> int:
    """Run it; returns how many statuses are not as expected and not explained."""
    services = [service for service in _read() if not names or service.package in names]
    remarks = dict(line.split("\t", 1) for line in lines_of(_REMARKS))
    rows, right, unexplained = [], 0, 0
    for service in services:
        answer = _probe(service)
        is_right = answer.status == service.expected
        right += is_right
        remark = remarks.get(service.package, "")
        unexplained += not is_right and not remark
        print(f"{'ok ' if is_right else 'NOT'} {service.package}: {answer.status} (expected {service.expected}), "
              f"{answer.seconds:.0f} s: {answer.first}", flush=True)  # fmt: skip
        first = "" if answer.status == 0 else answer.first.partition(": ")[2]
        told = "; ".join(filter(None, [first, "" if is_right else remark])).replace("|", "\\|")
        address = "" if service.address == "-" else service.address
        rows.append(
            f"| {service.package} | {service.unit} | {address} | {answer.status} | {service.expected} | {told} |\n"
        )
    if not names:
        _, mark, lives = _PAGE.read_text().partition("\n## Lives")  # of lives.py
        _PAGE.write_text(_HEAD.format(count=len(rows), right=right) + "".join(rows) + mark + lives)
    print(f"{right} of {len(rows)} as expected, {unexplained} not explained")
    return min(unexplained, 1)


def _read() -> list[Service]:
    rows = [line.split("\t") for line in lines_of(_SERVICES)]
    return [Service(package, unit, address, int(expected)) for package, unit, address, expected in rows]


def lines_of(path: Path) -> list[str]:
    """Return the lines of a table, without comments."""
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]


def _probe(service: Service) -> Answer:
    command = [POSTROJ, "pkgprobe", f"--image={_IMAGE}", f"--package={service.package}"]
    command += [f"--check-unit={service.unit}"]
    command += [] if service.address == "-" else [f"--check-network={service.address}"]
    for attempt in range(_ATTEMPTS):
        started = time.monotonic()
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if attempt + 1 == _ATTEMPTS or not any(word in done.stdout + done.stderr for word in NETWORK):
            break
    first = (done.stdout.splitlines() or done.stderr.splitlines() or [""])[0]
    (_HERE.parent / "build").mkdir(exist_ok=True)
    with open(_HERE.parent / "build/survey.txt", "a") as log:
        log.write(f"$ {' '.join(command)}\n{done.stdout}{done.stderr}\n")
    return Answer(done.returncode, first, time.monotonic() - started)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
