"""A TCP port accepts connections."""

from typing import Annotated, NamedTuple

from postroj.deadline import Deadline
from postroj.probe.exchange import Reply, Send, talk
from postroj.probe.judge import Scene, Seen
from postroj.probe.network import Address, connected, parse, unanswered
from postroj.probe.values import Key, Timeout


def _address(operator: str, written: str) -> Address:
    address = parse(written if "://" in written else f"tcp://{written}")
    if address.scheme != "tcp":
        raise ValueError("is not HOST:PORT")
    return address._replace(text=written.removeprefix("tcp://"))


class Tcp(NamedTuple):
    """A TCP port accepts connections, seen from inside the guest's network."""

    address: Annotated[Address, Key(_address, "tcp localhost:5432", "HOST:PORT")]
    send: Send = None
    reply: Reply = ()
    timeout: Timeout = None

    def look(self, scene: Scene, until: Deadline) -> Seen:
        """Look once; see Check."""
        try:
            with connected(scene.machine, self.address, until) as (connection, limit):
                return talk(connection, self.send, self.reply, "accepts connections", limit)
        except OSError as error:
            return unanswered(scene.machine, self.address, error)
