"""A command in a tree that is not booted: for provisioning."""

import os
from collections.abc import Sequence
from contextlib import ExitStack

from postroj.container import claim, network, slot
from postroj.container.nspawn import BOOT_SECONDS, Nspawn, resolv_conf_mode
from postroj.container.options import Options
from postroj.deadline import Deadline
from postroj.errors import HostError
from postroj.interrupts import uninterrupted

_SECONDS = 1800.0
# The command begins when its network is there: then standard input ends.
_WAITING = ["sh", "-c", 'read -r _; exec "$@" </dev/null', "sh"]


def run_in_tree(root: str, argv: Sequence[str], *, name: str) -> tuple[int, str]:
    """Run a command with a tree as its root, which it may change, in a private network.

    Returns its exit status and the last lines of what it printed. Raises HostError, also after 30 minutes.
    """
    arguments = ["--as-pid2", "--console=pipe", f"--resolv-conf={resolv_conf_mode()}", "--", *_WAITING, *argv]
    with ExitStack() as stack:
        with uninterrupted():
            claimed = claim.claim(name)
            stack.callback(claimed.release)
            taken = slot.take()
            stack.callback(taken.release)
            nspawn = Nspawn(claimed, taken, root, arguments, options=Options(), ephemeral=False, input=True)
            stack.callback(nspawn.kill)
        nspawn.go(Deadline(BOOT_SECONDS))
        leader = nspawn.wait_leader(Deadline(BOOT_SECONDS))
        namespace = os.open(f"/proc/{leader}/ns/net", os.O_RDONLY)
        stack.callback(os.close, namespace)
        nspawn.check_leader(leader)
        with uninterrupted():
            network.attach(taken, namespace)
            stack.callback(network.detach, taken)
        nspawn.end_input()
        ended = nspawn.wait_exit(Deadline(_SECONDS))
        if ended is None:
            raise HostError(f"{name} did not end within {_SECONDS / 60:g} minutes")
        return ended
