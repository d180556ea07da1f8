"""What a pull costs over its tools: `python benchmarks/pull.py [--rounds N]`, as root.

A: mmdebstrap alone, with the packages that a boot needs. B: `postroj pull` of the same suite. C: skopeo and umoci, on
an image of about 200 MB in a registry on loopback. D: `postroj pull` of it. Each begins with nothing that the one
before has brought; they are interleaved, in turns of who is first, on the same disk; what counts are the ratios of the
medians, B/A and D/C.
"""

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests/integration"))

from registry import Registry, registry
from support import POSTROJ, STATE

SUITE = "bookworm"
_REFERENCE = f"library/debian:{SUITE}"


class Pulls:
    """The four of them, each in a directory that is empty."""

    def __init__(self, server: Registry, home: Path) -> None:
        self._environment = {**os.environ, **server.home(home)}

    def mmdebstrap(self, directory: Path) -> None:
        """A."""
        include = "--include=systemd,systemd-sysv,dbus,mount"
        self._run(directory, "mmdebstrap", "--mode=root", "--variant=apt", include, SUITE, directory / "root")

    def bootstrap(self, directory: Path) -> None:
        """B."""
        self._run(directory, POSTROJ, "pull", "--quiet", "--source=bootstrap", f"debian-{SUITE}")

    def tools(self, directory: Path) -> None:
        """C."""
        copied = f"{directory}/layout:image"
        self._run(directory, "skopeo", "copy", f"docker://docker.io/{_REFERENCE}", f"oci:{copied}")
        self._run(directory, "umoci", "unpack", "--image", copied, directory / "bundle")

    def oci(self, directory: Path) -> None:
        """D."""
        self._run(directory, POSTROJ, "pull", "--quiet", "--source=oci", f"debian-{SUITE}")

    def _run(self, directory: Path, *words: str | Path) -> None:
        environment = {**self._environment, "POSTROJ_STATE_DIR": str(directory), "TMPDIR": str(directory)}
        done = subprocess.run(words, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{words[0]}: {done.stderr}")


def timed(pull: Callable[[Path], None]) -> float:
    """One of them, in seconds; what it has made is removed, which is not counted."""
    directory = Path(tempfile.mkdtemp(prefix="benchmark-", dir=STATE))
    try:
        started = time.perf_counter()
        pull(directory)
        return time.perf_counter() - started
    finally:
        shutil.rmtree(directory)
        os.sync()  # so that nobody pays for what another has written


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with registry() as server, tempfile.TemporaryDirectory() as home:
        server.push(SUITE, _REFERENCE)
        pulls = Pulls(server, Path(home))
        names = ("mmdebstrap", "bootstrap", "tools", "oci")
        times: dict[str, list[float]] = {name: [] for name in names}
        for number in range(rounds):
            for name in names if number % 2 else reversed(names):
                times[name].append(timed(getattr(pulls, name)))
    medians = {name: statistics.median(found) for name, found in times.items()}
    print(f"debian-{SUITE}, {rounds} rounds, interleaved")
    print(f"host: Linux {platform.release()}, Python {platform.python_version()}, {os.cpu_count()} cores\n")
    shown = ("A  mmdebstrap", "B  postroj pull", "C  skopeo, umoci", "D  postroj pull")
    for what, name in zip(shown, names, strict=True):
        print(f"{what:<17} median {medians[name]:6.2f} s   ({min(times[name]):.2f} to {max(times[name]):.2f})")
    print(f"\nB/A, bootstrap: {medians['bootstrap'] / medians['mmdebstrap']:.2f}")
    print(f"D/C, OCI: {medians['oci'] / medians['tools']:.2f}")


if __name__ == "__main__":
    main()
