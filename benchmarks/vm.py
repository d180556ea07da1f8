"""What a run in a VM that is kept costs over Vagrant: `python benchmarks/vm.py [IMAGE] [--rounds N]`, as root.

A, the floor: Vagrant's own `snapshot restore` of a VM that was made by hand, and one command by ssh. B: `postroj run
--vm IMAGE true` as a whole process: the restore, the command, and what is done afterwards. Both VMs are of the same box
and alike; the one that is not measured is suspended. A and B are interleaved, in turns of who is first. What counts is
the ratio of their medians.

libvirt is started as the tests start it, with a state directory of its own; with --here the host's own is used.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from postroj.settings import images_dir
from postroj.vm.vagrant import has_kvm
from timing import command

POSTROJ = os.path.join(os.path.dirname(sys.executable), "postroj")
_SECONDS = 600.0
_VAGRANTFILE = """Vagrant.configure("2") do |config|
  config.vm.box = "benchmark"
  config.vm.guest = :linux
  config.vm.boot_timeout = 600
  config.vm.synced_folder ".", "/vagrant", disabled: true
  config.ssh.insert_key = false
  config.vm.provider :libvirt do |libvirt|
    libvirt.memory = 1024
    libvirt.cpus = 1
    libvirt.graphics_type = "none"
    libvirt.disk_driver :cache => "unsafe"
    if ENV["DRIVER"] == "qemu"
      libvirt.driver = "qemu"
      libvirt.cpu_mode = "custom"
      libvirt.cpu_model = "qemu64"
    end
  end
end
"""
"""As the VMs of postroj are."""


class ByHand:
    """A VM of Vagrant's, in a directory."""

    def __init__(self, directory: str, box: str) -> None:
        self._directory = directory
        self._vagrant("box", "add", "--name=benchmark", "--provider=libvirt", box)
        Path(directory, "Vagrantfile").write_text(_VAGRANTFILE)
        self._vagrant("up", "--provider=libvirt")
        self._vagrant("snapshot", "save", "one")
        told = self._vagrant("ssh-config")
        Path(directory, "ssh_config").write_text(told)
        self._vagrant("suspend")

    def restore(self) -> float:
        """Return what its restore takes, and one command, in seconds."""
        taken = command([*self._words, "snapshot", "restore", "--no-provision", "one"], seconds=_SECONDS)
        begun = time.perf_counter()
        while not self._answers():
            if time.perf_counter() - begun > _SECONDS:
                sys.exit("the VM of Vagrant's does not answer")
        taken += time.perf_counter() - begun
        self._vagrant("suspend")
        return taken

    def _answers(self) -> bool:
        """Run a command by ssh: Vagrant does not wait until the VM that it has restored can be reached."""
        words = ["ssh", f"-F{self._directory}/ssh_config", "-oConnectTimeout=1", "default", "true"]
        return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0

    def remove(self) -> None:
        """Remove it."""
        self._vagrant("destroy", "--force")

    @property
    def _words(self) -> list[str]:
        variables = {
            "DRIVER": "kvm" if has_kvm() else "qemu",
            "VAGRANT_CHECKPOINT_DISABLE": "1",
            "VAGRANT_CWD": self._directory,
            "VAGRANT_HOME": f"{self._directory}/home",
        }
        return ["env", *(f"{name}={value}" for name, value in variables.items()), "vagrant"]

    def _vagrant(self, *words: str) -> str:
        done = subprocess.run([*self._words, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"vagrant {words[0]}: {done.stdout}{done.stderr}")
        return done.stdout


def run(image: str) -> float:
    """Return what a run takes, in seconds."""
    return command([POSTROJ, "run", "--quiet", "--vm", image, "true"], seconds=_SECONDS)


@contextmanager
def _host() -> Iterator[dict[str, str]]:
    """Start libvirt as the tests do, and make a state directory; yields their variables."""
    sys.path.append(str(Path(__file__).parent.parent / "tests/integration"))
    from support import STATE
    from vm_host import started_vm_host

    with started_vm_host(), tempfile.TemporaryDirectory(prefix="scratch-vms-", dir=STATE) as state:
        yield {"POSTROJ_STATE_DIR": state, "POSTROJ_IMAGES_DIR": os.path.join(STATE, "images")}


def measure(image: str, rounds: int) -> None:
    """Measure on this host, and print."""
    run(image)  # makes the box and the VM, if there is none
    (box,) = Path(images_dir(), ".boxes").glob(f"{image}.*/*.box")
    taken: dict[str, list[float]] = {"A  vagrant snapshot restore, ssh": [], "B  postroj run --vm": []}
    first, second = taken
    with tempfile.TemporaryDirectory(prefix="vm-", dir=Path(images_dir()).parent) as directory:
        by_hand = ByHand(directory, str(box))
        try:
            for number in range(-1, rounds):  # one round to warm up
                for what in (first, second) if number % 2 else (second, first):
                    seconds = by_hand.restore() if what == first else run(image)
                    if number >= 0:
                        taken[what].append(seconds)
        finally:
            by_hand.remove()
    print(f"{image}, {rounds} rounds, interleaved, on {os.cpu_count()} cores\n")
    for what, times in taken.items():
        print(f"{what:<34} median {statistics.median(times):.2f} s   ({min(times):.2f} to {max(times):.2f})")
    print(f"\nB/A of the medians: {statistics.median(taken[second]) / statistics.median(taken[first]):.2f}")


def main() -> None:
    """Measure on a host with libvirt."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("image", nargs="?", default="debian-bookworm")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--here", action="store_true", help="on this host, whose libvirt runs")
    args = parser.parse_args()
    if args.here:
        measure(args.image, args.rounds)
        return
    with _host() as variables:
        words = [args.image, f"--rounds={args.rounds}", "--here"]
        subprocess.run([sys.executable, __file__, *words], env={**os.environ, **variables}, check=True)


if __name__ == "__main__":
    main()
