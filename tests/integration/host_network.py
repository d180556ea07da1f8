"""A way to the outside for a simulated host: slirp4netns(1), a TCP/IP stack in a program.

It needs nothing of the real host's: no forwarding, no rules, no addresses; so hosts that run at the same time, and
machines that run on the real host, are in nobody's way, and nothing is left of it.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

RESOLV_CONF = "nameserver 10.0.2.3\n"
"""Where it answers as a name server, by asking that of the real host; the address of the host itself is 10.0.2.100."""


@contextmanager
def connected(pid: int) -> Iterator[None]:
    """Give the network namespace of a process the interface tap0, up and with a default route, inside the block."""
    ready, told = os.pipe()
    command = ["setpriv", "--pdeathsig", "KILL", "slirp4netns", "--configure", "--mtu=65520"]
    command += ["--disable-host-loopback", f"--ready-fd={told}", str(pid), "tap0"]
    with (
        open(ready, "rb") as readable,
        subprocess.Popen(
            command, pass_fds=[told], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as slirp,
    ):
        try:
            os.close(told)
            if not readable.read(1):
                output, _ = slirp.communicate()
                raise AssertionError(f"slirp4netns: {output.decode(errors='replace')}")
            yield
        finally:
            slirp.kill()
