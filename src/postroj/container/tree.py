"""A command in a tree that is not booted: for provisioning."""

from collections.abc import Sequence
from contextlib import ExitStack

from postroj.container import claim, network
from postroj.container.nspawn import Nspawn, resolv_conf_mode
from postroj.deadline import Deadline
from postroj.errors import HostError
from postroj.interrupts import uninterrupted

_SECONDS = 1800.0


def run_in_tree(root: str, argv: Sequence[str], *, name: str) -> tuple[int, str]:
    """Run a command with a tree as its root, which it may change, in a private network.

    Returns its exit status and the last lines of what it printed. Raises HostError, also after 30 minutes.
    """
    arguments = [f"--directory={root}", "--as-pid2", "--console=pipe"]
    arguments += [f"--resolv-conf={resolv_conf_mode()}", "--", *argv]
    with ExitStack() as stack:
        with uninterrupted():
            claimed = claim.claim(name)
            stack.callback(claimed.release)
            nspawn = Nspawn(claimed, arguments)
            stack.callback(nspawn.kill)
        nspawn.wait_started()
        with uninterrupted():
            stack.callback(network.attach(nspawn.pid).detach)
        nspawn.go()
        ended = nspawn.wait_exit(Deadline(_SECONDS))
        if ended is None:
            raise HostError(f"{name} did not end within {_SECONDS / 60:g} minutes")
        return ended
