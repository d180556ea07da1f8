"""Settings of the host's kernel that machines need, or are quicker with: changed while they run, set back by the last.

What a setting was is noted in /run/postroj/.sysctl-NAME first: a kill in between leaves one note too many, which the
sweep takes back, never one too few. Whoever changes them holds `slot.lock_runtime_dir`.
"""

import os
from contextlib import suppress

from postroj.settings import RUNTIME_DIR


class Setting:
    """A number in the file `path` that is to be `wanted` at least. A kernel that has no such file does without."""

    def __init__(self, path: str, wanted: int) -> None:
        self.path = path
        self.wanted = wanted
        self._note = os.path.join(RUNTIME_DIR, f".sysctl-{os.path.basename(path)}")

    def suffices(self) -> bool:
        """Whether it is as wanted."""
        return self._now() >= self.wanted

    def is_noted(self) -> bool:
        """Whether there is a note of what it was."""
        return os.path.exists(self._note)

    def before(self) -> int:
        """What it was before there were machines."""
        return int(_read(self._note) or self._now())

    def ensure(self, known: int | None = None) -> None:
        """Have it as wanted, also where somebody else has set it back. Raises OSError where it cannot be set.

        `known` is what it was before there were machines, if that is known by other means.
        """
        now, noted = self._now(), _read(self._note)
        # An empty note is of a run that was killed before it changed anything. One of a value that somebody has taken
        # back since tells no more what to go back to; one that does is left alone, for a kill could empty it.
        if not noted or now < self.wanted <= int(noted):
            _write(self._note, str(now if known is None else known))
        if now < self.wanted:
            _write(self.path, str(self.wanted))

    def restore(self) -> None:
        """Have it as it was, unless somebody else has changed it meanwhile."""
        if self.is_noted():
            if self.before() != self.wanted == self._now():
                with suppress(OSError):
                    _write(self.path, str(self.before()))
            with suppress(FileNotFoundError):
                os.unlink(self._note)

    def _now(self) -> int:
        return int(_read(self.path) or self.wanted)


FORWARDING = Setting("/proc/sys/net/ipv4/ip_forward", 1)
# A guest's systemd and its services take about seven, all of which count as root's, and 128 is the kernel's default:
# without this the eighteenth machine at once does not boot.
INOTIFY = Setting("/proc/sys/fs/inotify/max_user_instances", 8192)
# The kernel waits for a grace period of RCU where systemd moves a process into the cgroup of its unit, and where one
# ends that has used inotify: about ten times in the life of a machine, for 4 to 15 ms; expedited, for less than one. A
# kernel whose /sys/kernel/rcu_normal is 1, as PREEMPT_RT has it after its boot, expedites none all the same:
# rcupdate.rcu_normal and rcu_normal_after_boot in kernel-parameters.txt.
RCU_EXPEDITED = Setting("/sys/kernel/rcu_expedited", 1)
OF_MACHINES = (INOTIFY, RCU_EXPEDITED)
"""Those for every machine. FORWARDING is set when a link is made."""


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)
