"""`python -m postroj.probe` runs two demo probes, a unit and a network service, on all images that are pulled."""

import sys

from postroj.cli import Parser, execute, program
from postroj.image import store

PROBES = (
    ["--check-unit=systemd-journald"],
    ["--package=webfs", "--check-unit=webfs", "--check-network=http://localhost:8000"],
)


def _main() -> int:
    Parser(prog="python -m postroj.probe", description=__doc__).parse_args()
    names = store.list_names()
    if not names:
        print("no image is pulled; pull one: postroj pull debian-bookworm", file=sys.stderr)
        return 3
    worst = 0
    for name in names:
        for probe in PROBES:
            words = ["pkgprobe", f"--image={name}", *probe]
            print(f"$ postroj {' '.join(words)}", flush=True)
            status = execute(words)
            if status >= 128:  # Ctrl-C is meant for all of it
                return status
            worst = max(worst, status)
    return worst


program(_main)
