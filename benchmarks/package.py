"""What a repeated `pkgprobe --package=webfs` costs: `python benchmarks/package.py [--rounds N]`, as root.

The floor is bare systemd-nspawn, which boots a copy of the same tree with the package lists and the packages already in
it, and runs `apt-get install` and `systemctl is-active` in it. Both are interleaved, in turns of which is first; what
counts is the ratio of the medians. No unit has to stay active.
"""

import argparse
import compileall
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests/integration"))

import postroj
import timing
from support import POSTROJ
from support import STATE as _STATE

STATE = Path(_STATE)
_PACKAGE, _UNIT = "webfs", "webfs.service"
_INSTALL = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--yes", _PACKAGE)
_IS_ACTIVE = ("systemctl", "is-active", "--quiet", _UNIT)


def probe(image: str, *options: str) -> float:
    """Return the seconds that postroj takes."""
    words = [str(POSTROJ), "pkgprobe", f"--image={image}", f"--package={_PACKAGE}", f"--check-unit={_UNIT}"]
    started = time.perf_counter()
    done = subprocess.run(
        [*words, "--stay-active=0", "--quiet", *options],
        env={**os.environ, "POSTROJ_STATE_DIR": str(STATE)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return seconds


def prepared(image: str, directory: Path) -> Path:
    """Return a copy of the image's tree with what the cache has for it."""
    root = directory / "root"
    subprocess.run(["cp", "--archive", (STATE / "images" / image).resolve(), root], check=True)
    probe(image)
    layers = (STATE / "images/.packages").glob("*/current")
    for layer in sorted(layers, key=lambda path: path.with_name("checked").stat().st_mtime)[-1:]:
        subprocess.run(["cp", "--archive", f"{layer.resolve()}/root/.", root], check=True)
    return root


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--image", default="debian-bookworm")
    parser.add_argument("--uncached", action="store_true", help="also measure --no-cache")
    args = parser.parse_args()
    compileall.compile_dir(os.path.dirname(postroj.__file__), quiet=1)  # as pip does
    directory = Path(tempfile.mkdtemp(prefix="benchmark-", dir=STATE))
    ways = {
        "floor": lambda: timing.floor(str(root), _INSTALL, _IS_ACTIVE),
        "postroj": lambda: probe(args.image),
        **({"postroj --no-cache": lambda: probe(args.image, "--no-cache")} if args.uncached else {}),
    }
    try:
        root = prepared(args.image, directory)
        times: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(args.rounds):
            for name in ways if number % 2 else reversed(ways):
                times[name].append(ways[name]())
    finally:
        shutil.rmtree(directory)
    print(f"{args.image}, {_PACKAGE}, {args.rounds} rounds, interleaved")
    print(f"host: Linux {platform.release()}, Python {platform.python_version()}, {os.cpu_count()} cores\n")
    floor = statistics.median(times["floor"])
    for name, found in times.items():
        median = statistics.median(found)
        print(f"{name:<18} median {median:6.2f} s   ({min(found):.2f} to {max(found):.2f})   {median / floor:.2f}")


if __name__ == "__main__":
    main()
