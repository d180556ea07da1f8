"""A network of its own for a test: nothing but loopback, a resolv.conf as wanted, and what is added to it."""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from moments import until
from support import POSTROJ

_END_WITH_US = ["setpriv", "--pdeathsig", "KILL"]

# RESOLV_CONF: /etc/resolv.conf may lead to a file that is not there. An address other than loopback's is what getent
# goes by when it looks for addresses of a kind.
_BEGIN = """
ip link set lo up
ip address add 198.51.100.1/32 dev lo
resolver=$(readlink -m /etc/resolv.conf)
mkdir -p "${resolver%/*}"
[ -e "$resolver" ] || : >"$resolver"
mount --bind "$1" "$resolver"
echo up
exec sleep infinity
"""


class OwnNetwork:
    """Network and mount namespaces, in which programs run."""

    def __init__(self, pid: int, stack: ExitStack) -> None:
        self.pid = pid
        self._stack = stack

    def inside(self, *words: str | Path) -> list[str]:
        """The command that runs a command in it."""
        return ["nsenter", f"--target={self.pid}", "--net", "--mount", f"--wd={Path.cwd()}", "--", *map(str, words)]

    def run(self, *words: str | Path) -> str:
        """Run a program to its end; its output."""
        done = subprocess.run(self.inside(*words), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def postroj(
        self, *words: str | Path, env: Mapping[str, str], timeout: float = 600
    ) -> "subprocess.CompletedProcess[str]":
        """Run postroj to its end."""
        return subprocess.run(
            self.inside(POSTROJ, *words),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env=dict(env),
            timeout=timeout,
        )

    def serve(self, *words: str | Path) -> None:
        """Start a server, which ends with the network."""
        self._stack.enter_context(_serving(self.inside(*_END_WITH_US, *words)))

    def name_server(self, address: str, *more: str) -> None:
        """Start a dnsmasq that knows `served.test`, and wait until it listens."""
        always = ["--keep-in-foreground", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--pid-file="]
        always += ["--user=root", "--address=/served.test/192.0.2.7", "--address=/served.test/::", *more]
        self.serve("dnsmasq", *always, *([f"--listen-address={address}", "--bind-interfaces"] if address else []))
        shown = f"[{address}]:53" if ":" in address else f"{address or '0.0.0.0'}:53"
        until(lambda: shown in self.run("ss", "-Hlntu"), f"dnsmasq listens on {shown}")

    def proxy(self, directory: Path, address: str, *, upstream: str = "") -> Path:
        """Start a tinyproxy on port 3128 in it, and wait until it listens; returns the path of its log."""
        words, log = _tinyproxy(directory, address, upstream)
        self.serve(*words)
        until(lambda: f"{address}:{PROXY_PORT} " in self.run("ss", "-Hlnt"), "tinyproxy listens")
        return log

    def link(self, *, mtu: int = 1500) -> None:
        """Give it one neighbour, this host, and no route beyond it.

        What is larger than its end's MTU is dropped there, and nobody told.
        """
        pair = ["ip", "link", "add", "test-own", "type", "veth", "peer", "name", "out", "netns", str(self.pid)]
        subprocess.run(pair, check=True)
        # The kernel would take its time after the end of the namespace.
        self._stack.callback(subprocess.run, ["ip", "link", "delete", "test-own"], check=True)
        subprocess.run(["ip", "address", "add", f"{NEIGHBOUR}/30", "dev", "test-own"], check=True)
        # gso_max_segs: or packets are passed on in batches, whatever their size.
        subprocess.run(["ip", "link", "set", "test-own", "gso_max_segs", "1", "up"], check=True)
        self.run("ip", "address", "add", "203.0.113.2/30", "dev", "out")
        self.run("ip", "link", "set", "out", "mtu", str(mtu), "up")

    def serve_outside(self, port: int, *words: str | Path) -> None:
        """Start a server on its neighbour, and wait until it can be reached."""
        self._stack.enter_context(_serving([*_END_WITH_US, *map(str, words)]))
        reach = self.inside("bash", "-c", f": </dev/tcp/{NEIGHBOUR}/{port}")
        until(lambda: subprocess.run(reach, capture_output=True, check=False).returncode == 0, "it answers")

    def link_to_a_proxy(self, directory: Path) -> Path:
        """Give it a neighbour with a tinyproxy, and no other way out; returns the path of its log."""
        self.link()
        words, log = _tinyproxy(directory, NEIGHBOUR, "")
        self.serve_outside(PROXY_PORT, *words)
        return log


NEIGHBOUR = "203.0.113.1"
PROXY_PORT = 3128


def _tinyproxy(directory: Path, address: str, upstream: str) -> tuple[list[str], Path]:
    log, settings = directory / f"tinyproxy-{address}.log", directory / f"tinyproxy-{address}.conf"
    lines = [f"Port {PROXY_PORT}", f"Listen {address}", f'LogFile "{log}"', "LogLevel Connect", "Timeout 60"]
    settings.write_text("\n".join([*lines, *([f"Upstream http {upstream}"] if upstream else []), ""]))
    return ["tinyproxy", "-d", "-c", str(settings)], log


@contextmanager
def own_network(directory: Path, *servers: str) -> Iterator[OwnNetwork]:
    """One whose resolv.conf, a file made in `directory`, names these servers; it ends with the block."""
    resolv_conf = directory / "resolv.conf"
    resolv_conf.write_text("".join(f"nameserver {server}\n" for server in servers))
    words = [*_END_WITH_US, "unshare", "--net", "--mount", "--propagation", "private"]
    with ExitStack() as stack:
        holder = stack.enter_context(_serving([*words, "sh", "-euc", _BEGIN, "sh", str(resolv_conf)]))
        assert holder.stdout
        assert holder.stdout.readline() == b"up\n"
        yield OwnNetwork(holder.pid, stack)


@contextmanager
def _serving(words: Sequence[str]) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=dict(os.environ)) as process:
        try:
            yield process
        finally:
            process.kill()
