"""VMs whose postroj is killed, at moments of their life that are drawn from what is happening: see `_WARM`, `_MAKING`.

The next command finds or removes what is left, and works. POSTROJ_TEST_SEED is what the moments follow from.
"""

import os
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from signal import SIGINT, SIGKILL, SIGTERM, Signals

import pytest

from moments import AT_ONCE, Process, commands, deliver, handles, started, until
from support import POSTROJ
from vm_host import VmHost, long, missing
from vms import Vms

pytestmark = [pytest.mark.vm, long, pytest.mark.skipif(bool(missing()), reason=missing())]

_SEED = os.environ.get("POSTROJ_TEST_SEED") or str(random.SystemRandom().randrange(10**6))
_SIGNALS = (SIGKILL, SIGKILL, SIGTERM, SIGINT)
_SECONDS = 600.0
_IN_GUEST = "sleep 1234.5"

Moment = Callable[[Vms, Process], bool]


def _runs(*words: str) -> Moment:
    """A program works for a VM with these words on its command line, in this order."""

    def check(vms: Vms, process: Process) -> bool:
        return any(_has(command, words) for _, command in commands())

    return check


def _has(command: Sequence[str], words: Sequence[str]) -> bool:
    rest = iter(" ".join(command).split())
    return all(any(word == other.rpartition("/")[2] for other in rest) for word in words)


def _begun(vms: Vms, process: Process) -> bool:
    """It has started at all."""
    return True


def _is_taken(vms: Vms, process: Process) -> bool:
    """Its guard is there."""
    return _runs("sh", "timeout", "virsh", "destroy")(vms, process)


def _copies_the_box(vms: Vms, process: Process) -> bool:
    """Vagrant copies the box into the pool: some of it is there."""
    return any("_vagrant_box_image_" in path.name for path in (vms.directory / ".pool").glob("*"))


def _has_a_domain(vms: Vms, process: Process) -> bool:
    return bool(vms.domains("--all"))


def _is_connected(vms: Vms, process: Process) -> bool:
    return any(path.is_socket() for path in vms.directory.glob("*/ssh/control"))


def _runs_command(vms: Vms, process: Process) -> bool:
    return any(command[0].endswith("ssh") and _IN_GUEST in command[-1] for _, command in commands())


# As a run goes: the later ones come after the earlier ones.
_WARM: dict[str, Moment] = {
    "begun": _begun,
    "libvirt is asked for what others have left": _runs("virsh", "list"),
    "a VM is taken": _is_taken,
    "libvirt restores the snapshot": _runs("virsh", "snapshot-revert"),
    "the VM runs": lambda vms, process: bool(vms.domains()),
    "ssh connects": _runs("ssh", "-N"),
    "ssh is connected": _is_connected,
    "the command runs": _runs_command,
}
_MAKING: dict[str, Moment] = {
    "Vagrant unpacks the box": _runs("vagrant", "box", "add"),
    "Vagrant makes the VM": _runs("vagrant", "up", "--no-provision"),
    "Vagrant copies the box": _copies_the_box,
    "libvirt has the VM": _has_a_domain,
}
_REMOVING: dict[str, Moment] = {
    "begun": _begun,
    "libvirt removes the VM": _runs("virsh", "undefine"),
}


_SHORT = ("libvirt is asked for what others have left", "libvirt removes the VM")
"""Moments that are over after some milliseconds, and may be missed on a busy host."""
_LOOKS = 20


@pytest.fixture
def vms(vm_host: VmHost) -> Vms:
    return Vms(vm_host)


def _kill(vms: Vms, words: Sequence[str], name: str, moment: Moment, chosen: random.Random) -> None:
    """Start postroj, and kill it at a moment: one of the first looks at which that has come, or as it is over."""
    signum: Signals = chosen.choice(_SIGNALS)
    looks = chosen.randrange(1, _LOOKS)
    told = f"seed {_SEED}: postroj {words[0]}, {signum.name} when: {name}, seen {looks} times"
    print(told)
    with started([POSTROJ, *words], vms.env) as process:
        seen = at_end = 0

        def come() -> bool:
            nonlocal seen, at_end
            # SIGTERM is handled by postroj alone, SIGINT by Python as well, and before it has started
            is_now = moment(vms, process) and (signum is SIGKILL or handles(process, SIGTERM))
            seen += is_now
            at_end += _runs_command(vms, process)
            is_over = (seen and not is_now) or at_end > _LOOKS or process.poll() is not None
            return seen >= looks or is_over

        until(come, told, _SECONDS, AT_ONCE)
        assert seen or name in _SHORT, f"it has not come: {told}"
        with suppress(ProcessLookupError):  # it has ended by itself
            deliver(process, signum)
        out, err = process.communicate(timeout=_SECONDS)
    assert b"Traceback" not in err, f"{told}\n{out.decode()}{err.decode()}"


def test_twenty_kills(bookworm: str, vms: Vms) -> None:
    chosen = random.Random(_SEED)
    run = ["run", "--vm", bookworm, "sh", "-c", _IN_GUEST]
    first = f"{bookworm}-1"
    if first not in vms.listed():
        assert vms.postroj("run", "--vm", bookworm, "true").status == 0

    # a VM that is there, which no kill may cost: it is the same one afterwards
    made = (vms.directory / first / "known_hosts").read_text()
    for _ in range(13):
        name = chosen.choice(list(_WARM))
        _kill(vms, run, name, _WARM[name], chosen)
        if chosen.random() < 0.3:  # at once, without a look at what is left
            ended = vms.postroj("run", "--vm", bookworm, "echo", "next")
            assert (ended.status, ended.out) == (0, "next\n"), ended
        assert vms.check_nothing_is_left() == {first: "off"}, f"seed {_SEED}"
    assert (vms.directory / first / "known_hosts").read_text() == made

    # its removal, which goes on or has not begun
    name = chosen.choice(list(_REMOVING))
    _kill(vms, ["vm", "rm", first], name, _REMOVING[name], chosen)
    if vms.check_nothing_is_left():
        assert vms.postroj("vm", "rm", first).status == 0
    assert not (vms.directory / ".pool").exists() and os.listdir(vms.directory / ".boxes") == []

    # one that is being made
    for _ in range(6):
        name = chosen.choice(list(_MAKING))
        _kill(vms, run, name, _MAKING[name], chosen)
        assert vms.check_nothing_is_left() == {}, f"seed {_SEED}"

    ended = vms.postroj("run", "--vm", bookworm, "echo", "next")
    assert (ended.status, ended.out) == (0, "next\n"), ended
    assert vms.check_nothing_is_left() == {first: "off"}
