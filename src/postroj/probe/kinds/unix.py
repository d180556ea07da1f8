"""A Unix socket accepts connections."""

from functools import partial
from typing import Annotated, NamedTuple

from postroj.deadline import Deadline
from postroj.probe.exchange import Reply, Send, talk
from postroj.probe.judge import Scene, Seen
from postroj.probe.network import opened, reason_of
from postroj.probe.values import Key, Timeout, path


class Unix(NamedTuple):
    """A Unix socket accepts connections, of root. No part of its path may be a symbolic link."""

    path: Annotated[str, Key(path, "unix /run/docker.sock", "its absolute path")]
    send: Send = None
    reply: Reply = ()
    timeout: Timeout = None

    def look(self, scene: Scene, until: Deadline) -> Seen:
        """Look once; see Check."""
        try:
            with opened(partial(scene.machine.connect_path, self.path), until) as (connection, limit):
                return talk(connection, self.send, self.reply, "accepts connections", limit)
        except OSError as error:
            return Seen(False, reason_of(error), failed="no answer")
