"""The one door to host programs: argument lists only, the command line in the log, both streams in the error."""

import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any

from postroj.errors import MissingToolError, OverdueError, ToolError
from postroj.events import Debug, Output, emit
from postroj.interrupts import uninterrupted
from postroj.privileges import is_linux

# tool: its Debian package, and its Fedora package where that is another
TOOLS: dict[str, tuple[str, str]] = {
    "systemd-nspawn": ("systemd-container", "systemd-container"),
    "setpriv": ("util-linux", "util-linux"),
    "unshare": ("util-linux", "util-linux"),
    "nsenter": ("util-linux", "util-linux"),
    "bash": ("bash", "bash"),
    "mount": ("mount", "util-linux"),
    "ip": ("iproute2", "iproute"),
    "nft": ("nftables", "nftables"),
    "mmdebstrap": ("mmdebstrap", "mmdebstrap"),
    "skopeo": ("skopeo", "skopeo"),
    "umoci": ("umoci", "umoci"),
    "tar": ("tar", "tar"),
    "gzip": ("gzip", "gzip"),
    "xz": ("xz-utils", "xz"),
    "zstd": ("zstd", "zstd"),
    "bzip2": ("bzip2", "bzip2"),
    "vagrant": ("vagrant vagrant-libvirt", "vagrant vagrant-libvirt"),
    "virsh": ("libvirt-daemon-system", "libvirt-daemon-kvm libvirt-client"),
    "ssh": ("openssh-client", "openssh-clients"),
    "ssh-keygen": ("openssh-client", "openssh-clients"),
    "mke2fs": ("e2fsprogs", "e2fsprogs"),
    "qemu-img": ("qemu-utils", "qemu-img"),
    "grub-mkimage": ("grub-common", "grub2-tools-minimal"),
}

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_KEPT_LINES = 200
_PASSED = (
    *("HOME", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "REGISTRY_AUTH_FILE"),
)


def search_path() -> str:
    """PATH, with the sbin directories that a user's PATH may lack."""
    directories = (os.environ.get("PATH", "") + ":" + SEARCH_PATH).split(":")
    # An empty part would mean the current directory.
    return ":".join(dict.fromkeys(directory for directory in directories if directory))


def find(tool: str) -> str | None:
    """Where a program is, or None."""
    for directory in search_path().split(":"):
        path = os.path.join(directory, tool)
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    return None


def require(*tools: str) -> None:
    """Raise MissingToolError, naming the packages to install, unless every program is there."""
    missing = [tool for tool in tools if not find(tool)]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise MissingToolError(f"{', '.join(missing)} {verb} missing on this host", hint=install_hint(missing))


def install_hint(tools: Sequence[str]) -> str:
    """The command that brings these programs, for the package manager that the host has."""
    debian = " ".join(dict.fromkeys(TOOLS.get(tool, (tool, tool))[0] for tool in tools))
    fedora = " ".join(dict.fromkeys(TOOLS.get(tool, (tool, tool))[1] for tool in tools))
    for manager, command in (
        ("apt-get", f"apt-get install {debian}"),
        ("dnf", f"dnf install {fedora}"),
        ("zypper", f"zypper install {fedora}"),
    ):
        if find(manager):
            return command
    return f"install the packages that bring them: {debian} on Debian, {fedora} on Fedora"


def environment(**more: str) -> dict[str, str]:
    """What host programs see: PATH and settings for reaching the network; nothing that changes how they speak."""
    kept = {name: os.environ[name] for name in _PASSED if name in os.environ}
    return {**kept, "PATH": search_path(), "LC_ALL": "C.UTF-8", **more}


def run(argv: Sequence[str], *, stdin: str = "", timeout: float = 60, env: Mapping[str, str] | None = None) -> str:
    """Run a program to its end and return its standard output.

    `timeout` is in seconds; `env` is its environment, by default `environment`. Raises MissingToolError, and ToolError
    for a status that is not 0 or the time that is up.
    """
    return run_together((argv, stdin), timeout=timeout, env=env)[0]


def run_together(
    *commands: tuple[Sequence[str], str], timeout: float = 60, env: Mapping[str, str] | None = None
) -> list[str]:
    """Run programs at the same time, each with a text as its standard input; return their standard outputs.

    Raises as `run` does, for the first that failed, after all have ended.
    """
    processes: list[subprocess.Popen[bytes]] = []
    outputs: list[tuple[bytes, bytes]] = []
    try:
        for argv, stdin in commands:
            emit(Debug("$ " + shlex.join(argv)))
            # Until setsid() the child shares our session, so Ctrl-C would kill it: block SIGINT meanwhile, as a
            # teardown may depend on it.
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                process = start(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
                processes.append(process)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            assert process.stdin is not None
            with suppress(BrokenPipeError):
                process.stdin.write(stdin.encode())
                process.stdin.close()
            process.stdin = None
        for process in processes:
            outputs.append(process.communicate(timeout=timeout))
    except subprocess.TimeoutExpired:
        slow, _ = commands[len(outputs)]
        raise ToolError(f"{slow[0]} did not end within {timeout:g} s", why=shlex.join(slow)) from None
    finally:
        for process in processes:
            if process.returncode is None:
                stop(process)
            for stream in (process.stdout, process.stderr):
                assert stream is not None
                stream.close()
    for (argv, _), process, (out, err) in zip(commands, processes, outputs, strict=True):
        if process.returncode != 0:
            raise _failed(argv, process.returncode, (out + err).decode(errors="replace"))
    return [out.decode(errors="replace") for out, _ in outputs]


def follow(
    argv: Sequence[str],
    *,
    subject: str,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
    timeout: float | None = None,
) -> None:
    """Run a long program in a confinement of its own (see `spawn_confined`), each line it prints an Output event.

    `pass_fds` stay open in it under the same numbers. `timeout` is in seconds. Raises ToolError, with the last lines,
    unless the status is 0, and OverdueError for the time that is up.
    """
    lines: list[str] = []
    overdue = threading.Event()
    how = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with _killed_if_broken_off(argv, **how, env=env, pass_fds=pass_fds) as process:

        def end() -> None:
            overdue.set()
            kill_confined(process, wait=False)

        timer = None if timeout is None else threading.Timer(timeout, end)
        try:
            if timer:
                timer.start()
            assert process.stdout is not None
            for raw in process.stdout:
                if overdue.is_set():
                    break  # unshare says that the program was killed
                line = raw.decode(errors="replace").rstrip()
                lines = [*lines[1 - _KEPT_LINES :], line]
                emit(Output(subject, line))
            process.wait()
        finally:
            if timer:
                timer.cancel()
    if overdue.is_set():
        raise OverdueError(f"{argv[0]} did not end within {timeout:g} s", why="\n".join(lines) or shlex.join(argv))
    if process.returncode != 0:
        raise _failed(argv, process.returncode, "\n".join(lines))


def ask_confined(argv: Sequence[str], *, stdin: str, timeout: float, env: Mapping[str, str] | None = None) -> str:
    """Run a program in a confinement of its own (see `spawn_confined`), and return its standard output.

    Raises as `follow` does.
    """
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    try:
        with _killed_if_broken_off(argv, **pipes, env=env) as process:
            out, err = process.communicate(stdin.encode(), timeout=timeout)
    except subprocess.TimeoutExpired:
        raise OverdueError(f"{argv[0]} did not end within {timeout:g} s", why=shlex.join(argv)) from None
    if process.returncode != 0:
        raise _failed(argv, process.returncode, (out + err).decode(errors="replace"))
    return out.decode(errors="replace")


@contextmanager
def _killed_if_broken_off(argv: Sequence[str], **how: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Have a program run confined in the block: an exception in it kills the program, and all in its namespaces.

    So does one as the block begins: a signal that came while the program was started.
    """
    started: list[subprocess.Popen[bytes]] = []
    try:
        with uninterrupted():
            started.append(spawn_confined(argv, **how))
        yield started[0]
    except BaseException:
        with uninterrupted():
            for process in started:
                kill_confined(process)
                process.communicate()
        raise


def spawn_confined(
    argv: Sequence[str],
    *,
    stdin: int | IO[bytes] | None = None,
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
    pass_fds: Sequence[int] = (),
    env: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program in mount and PID namespaces of its own.

    The kernel cleans up after us: when this process dies, however it dies, its death signal kills unshare, that
    kills the program, which is PID 1 of its namespace, and with it die all processes and mounts in there. The death
    signal belongs to the thread that forked: call this from a thread that outlives the program. Hosts without Linux
    have none of this: there the program goes on if this process is killed.
    """
    emit(Debug("$ " + shlex.join(argv)))
    if not is_linux():
        return start(argv, stdin=stdin, stdout=stdout, stderr=stderr, pass_fds=pass_fds, env=env)
    confinement = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private", "--pid"]
    confinement += ["--fork", "--kill-child=SIGKILL", "--mount-proc", "--"]
    return start([*confinement, *argv], stdin=stdin, stdout=stdout, stderr=stderr, pass_fds=pass_fds, env=env)


def confined_child(process: subprocess.Popen[bytes]) -> int | None:
    """The PID, as the host sees it, of the program that `spawn_confined` started; None before it is there."""
    children = child_pids(process.pid)
    return children[0] if children else None


def kill_confined(process: subprocess.Popen[bytes], *, wait: bool = True) -> None:
    """Kill the program and all in its namespaces, and wait until they are gone."""
    if process.poll() is None:
        # Killing PID 1 of the namespace lets unshare wait for the end of all in it; unshare itself, killed first,
        # would leave that to nobody.
        with suppress(ProcessLookupError):
            if is_linux():
                os.kill(confined_child(process) or process.pid, signal.SIGKILL)
            else:
                os.killpg(process.pid, signal.SIGKILL)  # the session that `start` has made
    if wait:
        process.wait()


def child_pids(pid: int) -> list[int]:
    """The children of a process, from /proc (CONFIG_PROC_CHILDREN, in all distributions' kernels)."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(word) for word in file.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def tied(argv: Sequence[str]) -> list[str]:
    """Return the command line that has the kernel end a program with this process, on hosts with Linux."""
    return ["setpriv", "--pdeathsig", "TERM", *argv] if is_linux() else list(argv)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a program: TERM, a second of grace, KILL; returns when it is reaped."""
    process.terminate()
    try:
        process.wait(timeout=1)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def start(
    argv: Sequence[str],
    *,
    stdin: int | IO[bytes] | None = None,
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
    pass_fds: Sequence[int] = (),
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program that is not tied to this process's life. Raises MissingToolError, OSError.

    `pass_fds` stay open in it under the same numbers. `cwd` is its directory, by default ours.
    """
    path = find(argv[0])
    if path is None:
        require(argv[0])
        raise MissingToolError(f"{argv[0]} is missing on this host")
    # A session of its own: Ctrl-C at the terminal is for us to act on, not for each program at once.
    return subprocess.Popen(
        [path, *argv[1:]],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        pass_fds=pass_fds,
        env=environment() if env is None else env,
        cwd=cwd,
        start_new_session=True,
    )


def _failed(argv: Sequence[str], status: int, output: str) -> ToolError:
    how = f"was killed by signal {-status}" if status < 0 else f"failed with status {status}"
    return ToolError(f"{argv[0]} {how}", why=output.strip()[-8000:] or shlex.join(argv))
