"""What a command in a machine that runs costs: `python benchmarks/enter.py [--rounds N]`, as root.

On a simulated host with systemd and machined, in one machine that was kept. A: `systemd-run --machine=NAME --pipe
--wait true`. B: `postroj exec NAME true`. Each is a whole process; they are interleaved, in turns of who is first. What
counts is the difference of their medians. With --realtime both are run by chrt(1), for a host that others work on.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

_POSTROJ = [sys.executable, "-m", "postroj"]
_WARMING = 5


def measure(rounds: int, prefix: Sequence[str]) -> None:
    """Measure on this host, and print."""
    probe = ["pkgprobe", "--image=debian-bookworm", "--check-unit=systemd-journald", "--keep"]
    done = subprocess.run([*_POSTROJ, *probe], capture_output=True, text=True, check=True)
    found = re.search(r"the machine (\S+) is kept", done.stderr)
    assert found, done.stderr
    name = found[1]
    commands = {
        "systemd-run": ["systemd-run", f"--machine={name}", "--quiet", "--pipe", "--wait", "--collect", "true"],
        "postroj exec": [*_POSTROJ, "exec", name, "true"],
    }
    taken: dict[str, list[float]] = {what: [] for what in commands}
    try:
        for number in range(-_WARMING, rounds):
            for what in list(commands) if number % 2 else list(reversed(commands)):
                started = time.perf_counter()
                subprocess.run([*prefix, *commands[what]], check=True, stdin=subprocess.DEVNULL)
                if number >= 0:
                    taken[what].append((time.perf_counter() - started) * 1000)
    finally:
        subprocess.run([*_POSTROJ, "stop", name], check=True, stdout=subprocess.DEVNULL)
    for what, times in taken.items():
        low, middle, high = statistics.quantiles(times, n=4)
        print(f"{what:13} {middle:6.1f} ms (quartiles {low:.1f} to {high:.1f}), {len(times)} rounds")
    medians = [statistics.median(times) for times in taken.values()]
    print(f"difference    {medians[1] - medians[0]:6.1f} ms")


def main() -> None:
    """Measure on a simulated host."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--here", action="store_true", help="on this host, which has systemd and machined")
    parser.add_argument("--realtime", action="store_true")
    args = parser.parse_args()
    if args.here:
        measure(args.rounds, ["chrt", "--fifo", "1"] if args.realtime else [])
        return
    sys.path.append(str(Path(__file__).parent.parent / "tests/integration"))
    import lanes
    from support import STATE
    from systemd_host import systemd_test_host

    lanes.OUTPUTS.mkdir(parents=True, exist_ok=True)  # the host is shown it
    words = ["benchmarks/enter.py", "--here", f"--rounds={args.rounds}", *(["--realtime"] if args.realtime else [])]
    with systemd_test_host("bookworm") as host:
        subprocess.run(
            host.python(*words, env={"POSTROJ_STATE_DIR": os.environ.get("POSTROJ_STATE_DIR", STATE)}), check=True
        )


if __name__ == "__main__":
    main()
