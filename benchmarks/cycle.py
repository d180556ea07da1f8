"""What one cycle of postroj costs over the floor: `python benchmarks/cycle.py [IMAGE] [--rounds N]`, as root.

A, the floor: systemd-nspawn started directly on the image, boot to READY, one `systemctl is-active` inside, SIGKILL to
the guest's PID 1, nspawn reaped. B: `postroj pkgprobe --image=IMAGE --check-unit=systemd-journald` as a whole process.
A and B are interleaved, in turns of who is first, on the same root tree; what counts is the ratio of their medians.
"""

import argparse
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from postroj.image import used

POSTROJ = os.path.join(os.path.dirname(sys.executable), "postroj")
UNIT = "systemd-journald"


def floor(root: str) -> float:
    """One cycle of bare systemd-nspawn, in seconds."""
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(f"{directory}/notify")
        notify.settimeout(60)
        started = time.perf_counter()
        command = ["systemd-nspawn", f"--directory={root}", "--machine=floor", "--boot", "--volatile=overlay"]
        command += ["--register=no", "--keep-unit", "--notify-ready=yes", "--console=pipe", "--quiet"]
        nspawn = subprocess.Popen(
            command,
            env={**os.environ, "NOTIFY_SOCKET": f"{directory}/notify", "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        leader = ""
        while (message := notify.recv(4096)) and b"READY=1" not in message:
            for line in message.decode().splitlines():
                leader = line.removeprefix("X_NSPAWN_LEADER_PID=") if "LEADER_PID" in line else leader
        enter = ["nsenter", f"--target={leader}", "--mount", "--pid", "--net", "--uts", "--ipc", "--"]
        subprocess.run([*enter, "systemctl", "is-active", "--quiet", UNIT], check=True)
        os.kill(int(leader), 9)
        nspawn.wait()
        return time.perf_counter() - started


def postroj(image: str) -> float:
    """One cycle of postroj, in seconds."""
    started = time.perf_counter()
    subprocess.run(
        [POSTROJ, "pkgprobe", "--quiet", f"--image={image}", f"--check-unit={UNIT}"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - started


def version() -> float:
    """`postroj --version`, in seconds."""
    started = time.perf_counter()
    subprocess.run([POSTROJ, "--version"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


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
    with used(args.image) as image:
        a: list[float] = []
        b: list[float] = []
        c: list[float] = []
        for number in range(-2, args.rounds):  # two rounds to warm up
            results = {}
            for measure in ("a", "b") if number % 2 else ("b", "a"):
                results[measure] = floor(image.root) if measure == "a" else postroj(args.image)
            if number >= 0:
                a.append(results["a"])
                b.append(results["b"])
                c.append(version())
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
