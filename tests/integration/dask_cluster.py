"""A Dask cluster of hosts: a scheduler, and workers in network and mount namespaces of their own.

A worker sees neither the packages nor the machines of the host that `postroj test` runs on.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from moments import until

_DASK = os.path.join(os.path.dirname(sys.executable), "dask")
_NET = "198.18.7"
_PORT = 8786
_BRIDGE = "test-dask"
_END_WITH_US = ["setpriv", "--pdeathsig", "KILL"]

# HIDDEN...: directories that are empty for a worker. Its machines are no other's, as they are on a host of its own.
_BEGIN = """
ip link set lo up
mkdir -p /run/postroj
mount -t tmpfs tmpfs /run/postroj
for hidden; do mount -t tmpfs tmpfs "$hidden"; done
echo up
exec sleep infinity
"""


class Cluster:
    """It is up."""

    def __init__(self, address: str, workers: list["subprocess.Popen[bytes]"]) -> None:
        self.address = address
        self.workers = workers


@contextmanager
def dask_cluster(
    directory: Path, env: Mapping[str, str], *hidden: Path, workers: int = 2, certificate: Path | None = None
) -> Iterator[Cluster]:
    """One whose scheduler is on this host, and whose workers run a cell at a time; it ends with the block.

    With a certificate, a file that has its key as well, all of it is by TLS.
    """
    scheme = "tls" if certificate else "tcp"
    tls = [f"--tls-{word}={certificate}" for word in ("ca-file", "cert", "key")] if certificate else []
    with ExitStack() as stack:
        _run("ip", "link", "add", _BRIDGE, "type", "bridge")
        stack.callback(_run, "ip", "link", "delete", _BRIDGE)
        _run("ip", "address", "add", f"{_NET}.1/24", "dev", _BRIDGE)
        _run("ip", "link", "set", _BRIDGE, "up")
        words = [_DASK, "scheduler", "--host", f"{_NET}.1", "--port", str(_PORT), "--no-dashboard"]
        words += [*tls, f"--protocol={scheme}"]
        stack.enter_context(_serving(words, env, directory / "scheduler.log"))
        started = []
        for number in range(workers):
            inside = stack.enter_context(_host(number, hidden))
            # Without a nanny: a worker that is killed stays away.
            words = [*inside, _DASK, "worker", f"{scheme}://{_NET}.1:{_PORT}", "--no-nanny", "--no-dashboard"]
            words += [*tls, f"--protocol={scheme}"]
            words += ["--nthreads", "1", "--name", f"worker-{number}", "--local-directory", str(directory)]
            started.append(stack.enter_context(_serving(words, env, directory / f"worker-{number}.log")))
        for number in range(workers):
            log = directory / f"worker-{number}.log"
            until(lambda: "Registered to" in log.read_text(), f"{log} says that it is registered")  # noqa: B023
        yield Cluster(f"dask{'+tls' if certificate else ''}://{_NET}.1:{_PORT}", started)


@contextmanager
def _host(number: int, hidden: tuple[Path, ...]) -> Iterator[list[str]]:
    """Return what runs a command on a host of a worker's own, which is linked to this one."""
    link = f"{_BRIDGE}{number}"
    words = [*_END_WITH_US, "unshare", "--net", "--mount", "--propagation", "private", "sh", "-euc", _BEGIN, "sh"]
    with subprocess.Popen([*words, *hidden], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout and holder.stdout.readline() == b"up\n"
            _run("ip", "link", "add", link, "type", "veth", "peer", "name", "out", "netns", str(holder.pid))
            _run("ip", "link", "set", link, "master", _BRIDGE, "up")
            inside = ["nsenter", f"--target={holder.pid}", "--net", "--mount", "--"]
            _run(*inside, "ip", "address", "add", f"{_NET}.{number + 2}/24", "dev", "out")
            _run(*inside, "ip", "link", "set", "out", "up")
            yield inside
            _run("ip", "link", "delete", link)
        finally:
            holder.kill()


@contextmanager
def _serving(words: list[str], env: Mapping[str, str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("wb") as output:
        with subprocess.Popen(
            [*_END_WITH_US, *words], stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=dict(env)
        ) as process:
            try:
                yield process
            finally:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)
