"""What many cells at once cost: `python benchmarks/matrix.py [IMAGE] [--cells N] [--rounds N]`, as root.

Each cell installs a small package in a machine of its own and sees that its service is active, by `postroj test`:
A, cells that never wait (--stay-active=0); B, cells that wait as they do by default, 4 s each; C, those of B one after
the other (-j1). For A and B the wall time is compared with the CPU time of all that has run, divided by the cores; for
C with that of B.

The CPU time, user and system, is that of a cgroup of the cpuacct controller: postroj, its cells, their machines and
all processes in these, whoever has waited for them. Machines stay in it, as postroj makes no cgroup of this hierarchy
for a machine without a limit. So this needs a host with cgroup v1. In the cpu controller the same processes go before
all others (cpu.shares), so that a busy host takes little from them; what others have used is told, by /proc/stat.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "tests", "integration"))
import debs

POSTROJ = os.path.join(os.path.dirname(sys.executable), "postroj")
_CONTROLLERS = ("cpu", "cpuacct")
_MOST_SHARES = "262144"
_CORES = len(os.sched_getaffinity(0))
_TICKS = os.sysconf("SC_CLK_TCK")


class Run(NamedTuple):
    """What a run of all cells took, in seconds."""

    wall: float
    cpu: float
    others: float
    """CPU time of all else on this host, and what the hypervisor has taken."""

    @property
    def ratio(self) -> float:
        """The wall time over that of cores that are never idle."""
        return self.wall * _CORES / self.cpu


def _busy() -> float:
    """Return the seconds in which the cores of this host were not idle: proc_stat(5)."""
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / _TICKS


def run(directory: Path, image: str, *options: str) -> Run:
    """Run all cells."""
    groups = [Path("/sys/fs/cgroup", controller, f"postroj-benchmark-{os.getpid()}") for controller in _CONTROLLERS]
    for group in groups:
        group.mkdir()
    (groups[0] / "cpu.shares").write_text(_MOST_SHARES)

    def enter() -> None:
        for group in groups:
            (group / "cgroup.procs").write_text("0")

    try:
        busy, start = _busy(), time.monotonic()
        subprocess.run(
            [POSTROJ, "test", "--quiet", f"--image={image}", "--phase=install", "--phase=check", *options, "."],
            cwd=directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
            preexec_fn=enter,
        )
        wall, cpu = time.monotonic() - start, int((groups[1] / "cpuacct.usage").read_text()) / 1e9
        return Run(wall, cpu, max(0.0, _busy() - busy - cpu))
    finally:
        for group in groups:
            group.rmdir()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("image", nargs="?", default="debian-bookworm")
    parser.add_argument("--cells", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("-j", "--jobs", type=int, help="of A and B; without it, as by default")
    args = parser.parse_args()
    jobs = [f"-j{args.jobs}"] if args.jobs else []
    kinds = {
        "A  never waiting": (*jobs, "--stay-active=0"),
        "B  waiting 4 s each": (*jobs,),
        "C  B, one by one": ("-j1",),
    }
    runs: dict[str, list[Run]] = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory() as made:
        for number in range(args.cells):
            debs.build(Path(made), f"cell-{number}")
        for _ in range(args.rounds):
            for kind, options in kinds.items():
                runs[kind].append(run(Path(made), args.image, *options))
    print(f"{args.cells} cells in {args.image}, {jobs or 'default jobs'}, {args.rounds} rounds, interleaved; medians")
    print(f"host: Linux {platform.release()}, Python {platform.python_version()}, {_CORES} cores\n")
    for kind, taken in runs.items():
        wall, cpu, others, ratio = (
            statistics.median(values) for values in zip(*((*one, one.ratio) for one in taken), strict=True)
        )
        print(
            f"{kind:<20} wall {wall:6.1f} s   CPU {cpu:6.1f} s   others {others:6.1f} s   "
            f"wall * cores / CPU {ratio:.2f}"
        )
    b, c = (statistics.median(one.wall for one in runs[kind]) for kind in list(kinds)[1:])
    print(f"\nC / B: {c / b:.2f}")


if __name__ == "__main__":
    main()
