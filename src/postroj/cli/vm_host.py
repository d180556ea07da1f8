"""`postroj vm host`: the Linux VM of hosts that do not run Linux, and the commands that are passed on to it."""

import argparse
import glob
import os
import sys
from collections.abc import Iterator, Sequence

from postroj import privileges
from postroj.errors import UsageError
from postroj.vm import providers
from postroj.vm.host import machine

_ASKED = "POSTROJ_HOST"
_IMAGE = "debian-bookworm"
_LOCAL = ("completion", "doctor", "vm")
"""Commands that need no Linux."""
_ONLY_WITH_VM = ("gc", "ps")
"""Commands that have nothing to do if there is no VM."""
_WITH_VM = ("pkgprobe", "run")
"""Commands that can have a VM."""
_READING = ("cp", "exec", "run", "shell")
"""Commands that read standard input."""
_READ = ("IMAGE", "KEY", "PACKAGE", "PACKAGE|CELL", "SOURCE", "SOURCE[:TARGET]", "TARBALL|DIRECTORY", "PLAN")
_WRITTEN = ("ARTIFACTS", "FILE", "FORMAT[=FILE]", "TARGET")
"""Arguments that are files, or can be, as the help calls them; those without a name of their own by their option's."""
_BY_OPTION = ("plan", "artifacts")
_PASSED = ("COLUMNS", "NO_COLOR", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_NOT_PASSED = (_ASKED, "POSTROJ_DOWNLOADS_DIR", "POSTROJ_IMAGES_DIR", "POSTROJ_STATE_DIR", "POSTROJ_VM_DRIVER")
"""Of the variables with POSTROJ_, those that are about this host."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the word that says what to do."""
    parser.epilog = (
        "On hosts that do not run Linux, commands that need it are run in this VM, which is started if it is not; on "
        "Linux, if POSTROJ_HOST=vm. The current directory is shared, and files that are named. See docs/macos.md."
    )
    parser.add_argument(
        "what_of_host", nargs="?", choices=("create", "stop", "rm", "ssh"), metavar="create|stop|rm|ssh",
        help="make it, shut it down, remove it with its images, or open a shell in it; by default, say if there is one",
    )  # fmt: skip
    made = parser.add_argument_group("what `create` makes it of")
    made.add_argument(
        "--image", default=_IMAGE, metavar="IMAGE", help=f"an image of a VM with Debian 12 or newer ({_IMAGE})"
    )
    made.add_argument(
        "--provider", default="", choices=providers.NAMES, metavar="PROVIDER",
        help=f"the provider of Vagrant, by default one that this host has: {', '.join(providers.NAMES)}",
    )  # fmt: skip


def handle(args: argparse.Namespace) -> int:
    """Do it."""
    do = {"create": _create, "stop": _stop, "rm": _remove, "ssh": _ssh, None: _tell}
    return do[args.what_of_host](args)


def is_for(args: argparse.Namespace) -> bool:
    """Return whether a command is to be run in the VM. Raises UsageError if it cannot be, and has to."""
    asked = os.environ.get(_ASKED, "")
    if asked not in ("", "vm"):
        raise UsageError(f"{_ASKED}={asked[:80]}: it is `vm`, or not set")
    if (not asked and privileges.is_linux()) or not _needs_linux(args):
        return False
    if machine.exists():
        return True
    if args.command in _ONLY_WITH_VM:
        return False
    privileges.require_linux()
    raise UsageError("there is no Linux VM", hint=privileges.HOW_TO_GET_LINUX)


def _needs_linux(args: argparse.Namespace) -> bool:
    if args.command == "test":
        return not (args.init or args.list or args.explain or "" in args.check)
    if args.command == "list-images":
        return bool(args.pulled) and machine.exists()
    return args.command not in _LOCAL and not _is_of_vm(args)


def _is_of_vm(args: argparse.Namespace) -> bool:
    """Return whether a command has a VM of its own, which is this host's."""
    if getattr(args, "vm", False) or getattr(args, "provider", ""):
        return True
    if args.command not in _WITH_VM or args.image is None:
        return False
    from postroj.image import vmimage

    return vmimage.is_only_of_vm(args.image)


def pass_on(args: argparse.Namespace, words: Sequence[str]) -> int:
    """Run a command in the VM, and return its exit status. Raises UsageError, HostError."""
    from postroj.vm.host import passed, shares

    is_typed = os.isatty(0)
    terminal = is_typed and _is_in_foreground() and (os.isatty(1) or getattr(args, "tty", False))
    reads = args.command in _READING and (not is_typed or getattr(args, "interactive", False))
    return passed.run(
        passed.Request(
            words=words,
            shares=shares.collect(_paths(args, _READ), _paths(args, _WRITTEN, written=True)),
            environment=_environment(args),
            terminal=terminal,
            stdin=reads,
        )
    )


def _is_in_foreground() -> bool:
    """Return whether the terminal that is standard input is ours to be set."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:  # it is that of another session
        return False


def _paths(args: argparse.Namespace, called: Sequence[str], *, written: bool = False) -> Iterator[str]:
    """Yield the files that are named in arguments of such names: those that are there, or all that can be written."""
    for action in args.parser._actions:
        name = action.dest.upper() if action.dest in _BY_OPTION else action.metavar or action.dest.upper()
        if name not in called:
            continue
        given = getattr(args, action.dest, None) or ()
        for value in [given] if isinstance(given, str) else given:
            if written:
                yield value.partition("=")[2] if name.startswith("FORMAT") else value
            else:
                yield from filter(os.path.lexists, _meant(name, value))


def _meant(name: str, value: str) -> Iterator[str]:
    """Yield the paths that a value can mean."""
    yield value
    if name == "SOURCE[:TARGET]":
        yield value.partition(":")[0]
    if name in ("IMAGE", "TARBALL|DIRECTORY"):
        yield value.partition(":")[2].partition(":")[0]  # docker-archive:FILE
        yield value.partition("#")[0]
    yield from glob.iglob(value)


def _environment(args: argparse.Namespace) -> dict[str, str]:
    """Return the variables that a command has in the VM as well: those of postroj, and those that it asks for."""
    asked = [text for text in getattr(args, "env", None) or () if "=" not in text]
    own = [name for name in os.environ if name.startswith("POSTROJ_") and name not in _NOT_PASSED]
    return {name: os.environ[name] for name in (*_PASSED, *own, *asked) if name in os.environ}


def _create(args: argparse.Namespace) -> int:
    from postroj.deadline import NEVER
    from postroj.image import vmimage

    found = vmimage.find(args.image, vm=True, provider=args.provider)
    assert found is not None  # as it is asked for as a VM
    box = found.made(NEVER)
    cores = max(min(machine.CORES, os.cpu_count() or 1), box.cores)
    machine.create(box._replace(memory=max(machine.MEMORY, box.memory), cores=cores))
    print("the Linux VM is ready")
    return 0


def _stop(args: argparse.Namespace) -> int:
    machine.stop()
    print("the Linux VM is stopped")
    return 0


def _remove(args: argparse.Namespace) -> int:
    machine.remove()
    print("removed the Linux VM")
    return 0


def _ssh(args: argparse.Namespace) -> int:
    import subprocess

    from postroj import process

    with machine.connected() as connection:
        argv = connection.argv(["bash", "-l"], terminal=sys.stdin.isatty())
        return subprocess.run([process.find(argv[0]) or argv[0], *argv[1:]], check=False).returncode


def _tell(args: argparse.Namespace) -> int:
    print("the Linux VM is there" if machine.exists() else "there is no Linux VM: postroj vm host create")
    return 0
