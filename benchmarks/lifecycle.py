"""What a whole life costs over a shell script that does the same: `python benchmarks/lifecycle.py NEW OLD`, as root.

NEW and OLD are two releases of one small .deb with a service that starts as it is installed. A: a machine of
postroj's in which a shell script does what `postroj pkgprobe --lifecycle` does, with `sleep` for the time that units
must stay active; the machine's reboot and its return to the image are postroj's in both. B: that command as a whole
process. They are interleaved, in turns of who is first; what counts is the ratio of their medians.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

from postroj.container import Bind, Container
from postroj.deadline import Deadline
from postroj.image import open_image

POSTROJ = os.path.join(os.path.dirname(sys.executable), "postroj")
_IMAGE = "debian-bookworm"
_APT = "DEBIAN_FRONTEND=noninteractive apt-get --yes --quiet --allow-downgrades -o Dpkg::Options::=--force-confold"
_INSTALL = f"{_APT} install --reinstall"

_BEGIN = """
set -e
{install} /run/postroj/new.deb
systemctl is-active {unit}; sleep 4
systemctl restart {unit}; sleep 2; systemctl is-active {unit}
"""
_GO_ON = """
set -e
sleep 2; systemctl is-active {unit}
{install} /run/postroj/new.deb
sleep 2; systemctl is-active {unit}
systemctl disable --now {unit}; {install} /run/postroj/new.deb; systemctl enable --now {unit}
systemctl mask --now {unit}; {install} /run/postroj/new.deb; systemctl unmask {unit}; systemctl start {unit}
{apt} remove {name}
{apt} purge {name}; {apt} purge {name} || true
{install} /run/postroj/new.deb
sleep 2; systemctl is-active {unit}
{apt} remove {name}; {apt} purge {name}
"""
_UPGRADE = """
set -e
{install} /run/postroj/old.deb
systemctl is-active {unit}
{install} /run/postroj/new.deb
sleep 2; systemctl is-active {unit}
{install} /run/postroj/old.deb
sleep 2; systemctl is-active {unit}
"""


def script(new: str, old: str, name: str) -> float:
    """One life by shell scripts, in seconds."""
    words = {"install": _INSTALL, "apt": _APT, "name": name, "unit": f"{name}.service"}
    started = time.perf_counter()
    until = Deadline(600)
    binds = [Bind(new, "/run/postroj/new.deb"), Bind(old, "/run/postroj/old.deb")]
    with open_image(_IMAGE) as image, Container(image.root, "life", binds=binds) as machine:

        def run(text: str) -> None:
            done = machine.command(["sh", "-c", text.format(**words)], deadline=until)
            assert done.status == 0, done.output

        run(_BEGIN)
        machine.reboot(deadline=until)
        run(_GO_ON)
        machine.restore(0, deadline=until)
        run(_UPGRADE)
    return time.perf_counter() - started


def postroj(new: str, old: str) -> float:
    """One life by postroj, in seconds."""
    words = [f"--image={_IMAGE}", f"--package={new}", f"--upgrade-from={old}", "--lifecycle"]
    started = time.perf_counter()
    subprocess.run([POSTROJ, "pkgprobe", "--quiet", *words], check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("new")
    parser.add_argument("old")
    parser.add_argument("--name", default="live")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    a: list[float] = []
    b: list[float] = []
    for number in range(args.rounds):
        for measure in ("a", "b") if number % 2 else ("b", "a"):
            if measure == "a":
                a.append(script(os.path.abspath(args.new), os.path.abspath(args.old), args.name))
            else:
                b.append(postroj(args.new, args.old))
    for what, times in (("A  shell scripts", a), ("B  postroj pkgprobe --lifecycle", b)):
        print(f"{what}: median {statistics.median(times):.2f} s ({min(times):.2f} to {max(times):.2f})")
    print(f"ratio {statistics.median(b) / statistics.median(a):.2f}")


if __name__ == "__main__":
    main()
