"""A command in a tree that is not booted, and which it may change: for provisioning."""

from collections.abc import Sequence

from postroj.capture import Tail, sink_into
from postroj.container.unbooted import RESOLV_CONF, Unbooted
from postroj.deadline import Deadline
from postroj.errors import DeadlineError, HostError
from postroj.events import Output, emit
from postroj.streams import Streams

_SECONDS = 1800.0
# The owners of the tree are mapped: its root can write to it, and nspawn cannot. The name server is none of the
# image's: a machine gets that of its own host.
_WITH_RESOLVER = f"""
rm -f /etc/resolv.conf
cat {RESOLV_CONF} >/etc/resolv.conf
"$@"
status=$?
rm -f /etc/resolv.conf
exit $status
"""


def run_in_tree(root: str, argv: Sequence[str], *, name: str) -> tuple[int, str]:
    """Run a command with a tree as its root, which it may change, in a private network. It needs a shell in the tree.

    Its environment names the host's proxies. Returns its exit status and the last part of what it printed. Raises
    HostError, also after 30 minutes.
    """
    output = Tail(lambda line: emit(Output(name, line), machine=name))
    command = ["sh", "-c", _WITH_RESOLVER, "sh", *argv]
    try:
        with (
            sink_into(output.add) as sink,
            Unbooted(root, name, command, Streams(None, sink, sink), ephemeral=False, proxies=True) as one,
        ):
            status = one.wait(Deadline(_SECONDS))
    except DeadlineError as error:
        raise HostError(f"{name} did not end within {_SECONDS / 60:g} minutes") from error
    return status, one.as_on_host(output.text())
