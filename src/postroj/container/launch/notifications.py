"""The socket by which systemd-nspawn tells how far it and its guest are: sd_notify(3)."""

import os
import select
import socket
import struct
from contextlib import suppress

from postroj.deadline import Deadline

_MESSAGE = 4096


class Notifications:
    """A datagram socket, to be named as NOTIFY_SOCKET."""

    def __init__(self, path: str) -> None:
        self.path = path
        with suppress(FileNotFoundError):  # that of the machine's last boot
            os.unlink(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(path)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)

    def wait(self, wanted: bytes, *, sender: int, process: int, deadline: Deadline) -> bytes:
        """Return the first message from the PID `sender` that has `wanted` in it.

        Raises TimeoutError, and ProcessLookupError if the process with the PID `process`, a child, ends before.
        """
        pidfd = os.pidfd_open(process)
        try:
            poller = select.poll()
            poller.register(self._socket, select.POLLIN)
            poller.register(pidfd, select.POLLIN)
            while True:
                remaining = deadline.remaining()
                events = poller.poll(None if remaining is None else remaining * 1000)
                if not events:
                    raise TimeoutError
                if self._socket.fileno() not in [fd for fd, _ in events]:
                    raise ProcessLookupError
                message = self._receive(sender)
                if wanted in message:
                    return message
        finally:
            os.close(pidfd)

    def _receive(self, sender: int) -> bytes:
        """Return one message; nothing if it is of another process: whoever can write to the socket may try."""
        message, ancillary, _, _ = self._socket.recvmsg(_MESSAGE, socket.CMSG_SPACE(12))
        senders = [
            struct.unpack("iII", data)[0]
            for level, kind, data in ancillary
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS)
        ]
        return message if senders == [sender] else b""

    def close(self) -> None:
        """Take no more messages. To a closed socket nspawn's are lost, and that is all."""
        self._socket.close()
