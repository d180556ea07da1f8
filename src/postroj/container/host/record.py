"""What is known of a running machine to processes other than the one that has started it: /run/postroj/NAME/machine.

It goes with the machine's directory. Whether the machine is alive is told by the lock on that alone.
"""

import os
import time
from contextlib import suppress
from typing import NamedTuple

from postroj import locks
from postroj.errors import HostError
from postroj.procfs import start_time
from postroj.settings import RUNTIME_DIR

_RECORD = "machine"
_PROXIES = "proxies"
_LINE_BREAKS = {ord("\n"): " ", ord("\r"): " "}


class Record(NamedTuple):
    """A machine that has booted."""

    leader: int
    """Its PID 1, as the host counts."""
    started: int
    """When that was started, in clock ticks since the host's boot: with the PID it is one process and no other."""
    root_uid: int
    """What its root is outside."""
    image: str
    since: float
    """When it had booted for the first time, as time.time()."""
    reason: str = ""
    """Why it was kept after its probe; empty for one that is not."""
    until: float = 0.0
    """When it is removed, as time.time(); 0 if that is not known."""


def write(directory: str, record: Record) -> None:
    """Write the record of the machine with this directory, in one step. All may read it."""
    lines = (f"{name}={str(value).translate(_LINE_BREAKS)}\n" for name, value in record._asdict().items())
    _write(os.path.join(directory, _RECORD), "".join(lines), 0o644)


def write_proxies(directory: str, proxies: dict[str, str]) -> None:
    """Write by which variables the machine is told the host's proxies. Only root may read it: passwords are in them."""
    if proxies:
        import json

        _write(os.path.join(directory, _PROXIES), json.dumps(proxies), 0o600)


def read(name: str) -> Record | None:
    """Return the record of a machine; None for one that has not booted, or is gone."""
    try:
        with open(os.path.join(directory_of(name), _RECORD), encoding="utf-8", errors="surrogateescape") as file:
            return _parsed(file.read())
    except FileNotFoundError:
        return None
    except (KeyError, ValueError) as error:  # of another version of postroj
        raise HostError(f"the machine {name} was started by another version of postroj", why=str(error)) from error


def read_proxies(name: str) -> dict[str, str]:
    """Return the variables by which a machine is told the host's proxies."""
    with suppress(FileNotFoundError), open(os.path.join(directory_of(name), _PROXIES)) as file:
        import json  # takes two milliseconds, and most machines have none

        found: dict[str, str] = json.load(file)
        return found
    return {}


def _parsed(text: str) -> Record:
    """Return the record in a text: lines such as those of os-release(5), without quotes. json is slow to import."""
    values = dict(line.split("=", 1) for line in text.split("\n") if line)
    return Record(
        leader=int(values["leader"]),
        started=int(values["started"]),
        root_uid=int(values["root_uid"]),
        image=values["image"],
        since=float(values["since"]),
        reason=values["reason"],
        until=float(values["until"]),
    )


def made(leader: int, root_uid: int, image: str, before: Record | None) -> Record:
    """Return the record of a machine that has booted, again if there is one from `before`."""
    if before:
        return before._replace(leader=leader, started=start_time(leader), root_uid=root_uid)
    return Record(leader, start_time(leader), root_uid, image, time.time())


def directory_of(name: str) -> str:
    """Return where all that is on file of a machine is."""
    return os.path.join(RUNTIME_DIR, name)


def names() -> list[str]:
    """Return the names of all machines, living or not."""
    try:
        return sorted(entry for entry in os.listdir(RUNTIME_DIR) if not entry.startswith("."))
    except FileNotFoundError:
        return []


def owners() -> dict[str, int]:
    """Return the names of the machines that live, each with the PID of the process that owns it."""
    found = {name: locks.owner(directory_of(name)) for name in names()}
    return {name: pid for name, pid in found.items() if pid}


def living() -> dict[str, Record | None]:
    """Return the records of the machines that live; None for one that has not booted, or is of another version."""
    found: dict[str, Record | None] = {}
    for name in owners():
        try:
            found[name] = read(name)
        except HostError:
            found[name] = None
    return found


def _write(path: str, text: str, mode: int) -> None:
    new = f"{path}.new"
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with open(fd, "w", encoding="utf-8", errors="surrogateescape") as file:  # whatever the locale is
        file.write(text)
    os.rename(new, path)
