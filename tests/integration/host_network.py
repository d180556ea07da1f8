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

_IPV6 = "fd99:2::1/128"
"""An address of the host's own, so that it can be tried to reach it; there is no way to the outside by IPv6."""


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
            add = ["ip", "-6", "address", "add", _IPV6, "dev", "lo", "nodad"]
            subprocess.run(["nsenter", f"--target={pid}", "--net", *add], check=True)
            yield
        finally:
            slirp.kill()
