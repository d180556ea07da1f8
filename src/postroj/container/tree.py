"""A command in a tree that is not booted: for provisioning."""

from collections.abc import Sequence

from postroj.container import claim
from postroj.container.nspawn import Nspawn, resolv_conf_mode
from postroj.deadline import Deadline
from postroj.errors import DeadlineError
from postroj.interrupts import uninterrupted

_SECONDS = 1800.0


def run_in_tree(root: str, argv: Sequence[str], *, name: str) -> tuple[int, str]:
    """Run a command with a tree as its root, which it may change, in the host's network.

    Returns its exit status and the last lines of what it printed. Raises HostError, DeadlineError after 30 minutes.
    """
    arguments = [f"--directory={root}", "--as-pid2", "--console=pipe"]
    arguments += [f"--resolv-conf={resolv_conf_mode()}", "--", *argv]
    with uninterrupted():
        claimed = claim.claim(name)
        try:
            nspawn = Nspawn(claimed, arguments, private_network=False)
        except BaseException:
            claimed.release()
            raise
    try:
        ended = nspawn.wait_exit(Deadline(_SECONDS))
        if ended is None:
            raise DeadlineError(f"{name} did not end within {_SECONDS / 60:g} minutes")
        return ended
    finally:
        with uninterrupted():
            nspawn.kill()
            claimed.release()
