"""What one cycle of postroj costs over the floor: `python benchmarks/cycle.py [IMAGE] [--rounds N]`, as root.

A, the floor: systemd-nspawn started directly on the image, boot to READY, one `systemctl is-active` inside, SIGKILL to
the guest's PID 1, nspawn reaped. B: `postroj pkgprobe --image=IMAGE --check-unit=systemd-journald` as a whole process.
A and B are interleaved, in turns of who is first, on the same root tree; what counts is the ratio of their medians.
timing.py has how each is timed; peers.py has the comparison with other tools.
"""

import argparse
import compileall
import os
import platform
import statistics
import subprocess
import sys

import postroj
from postroj.image import open_image
from timing import UNIT, command, floor

POSTROJ = os.path.join(os.path.dirname(sys.executable), "postroj")


def probe(image: str) -> float:
    """One cycle of postroj, in seconds."""
    return command([POSTROJ, "pkgprobe", "--quiet", f"--image={image}", f"--check-unit={UNIT}"])


def peak_memory(image: str) -> float:
    """The peak resident memory of one cycle's postroj itself, in MB."""
    code = (
        "import resource, sys; from postroj.cli import execute\n"
        "execute(sys.argv[1:]); print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, "pkgprobe", "--quiet", f"--image={image}", f"--check-unit={UNIT}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stderr.split()[-1]) / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("image", nargs="?", default="debian-bookworm")
    parser.add_argument("--rounds", type=int, default=40)
    args = parser.parse_args()
    compileall.compile_dir(os.path.dirname(postroj.__file__), quiet=1)  # as pip does
    with open_image(args.image) as image:
        a: list[float] = []
        b: list[float] = []
        c: list[float] = []
        for number in range(-2, args.rounds):  # two rounds to warm up
            results = {}
            for measure in ("a", "b") if number % 2 else ("b", "a"):
                results[measure] = floor(image.root) if measure == "a" else probe(args.image)
            if number >= 0:
                a.append(results["a"])
                b.append(results["b"])
                c.append(command([POSTROJ, "--version"]))
    nspawn = subprocess.run(["systemd-nspawn", "--version"], capture_output=True, text=True).stdout.splitlines()[0]
    print(f"{args.image} (systemd {image.systemd}), {args.rounds} rounds, interleaved")
    print(f"host: Linux {platform.release()}, {nspawn}, Python {platform.python_version()}, {os.cpu_count()} cores\n")
    for what, times in (("A  bare systemd-nspawn", a), ("B  postroj pkgprobe", b), ("   postroj --version", c)):
        low, high = min(times), max(times)
        print(f"{what:<24} median {statistics.median(times):.3f} s   ({low:.3f} to {high:.3f})")
    print(f"\nB/A of the medians: {statistics.median(b) / statistics.median(a):.2f}")
    print(f"peak memory of postroj itself: {peak_memory(args.image):.0f} MB")


if __name__ == "__main__":
    main()
