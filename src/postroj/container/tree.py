"""A command in a tree that is not booted, and which it may change: for provisioning."""

from collections.abc import Sequence

from postroj.container.capture import Tail, reading
from postroj.container.streams import Streams
from postroj.container.unbooted import Unbooted
from postroj.deadline import Deadline
from postroj.errors import DeadlineError, HostError
from postroj.events import Output, emit

_SECONDS = 1800.0


def run_in_tree(root: str, argv: Sequence[str], *, name: str) -> tuple[int, str]:
    """Run a command with a tree as its root, which it may change, in a private network.

    Returns its exit status and the last part of what it printed. Raises HostError, also after 30 minutes.
    """
    output = Tail(lambda line: emit(Output(name, line)))
    try:
        with reading(output.add) as sink, Unbooted(root, name, argv, Streams(None, sink, sink), ephemeral=False) as one:
            status = one.wait(Deadline(_SECONDS))
    except DeadlineError as error:
        raise HostError(f"{name} did not end within {_SECONDS / 60:g} minutes") from error
    return status, output.text()
