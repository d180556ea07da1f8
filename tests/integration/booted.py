"""Machines in the process of the test: for what no command of postroj does."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from postroj import image as images
from postroj.container import Bind, Container, Options
from postroj.deadline import NEVER, Deadline

_SECONDS = 60.0


@contextmanager
def booted(
    image: str,
    *,
    options: Options | None = None,
    binds: Sequence[Bind] = (),
    deadline: Deadline = NEVER,
    proxies: bool = False,
    name: str = "booted",
) -> Iterator[Container]:
    """A machine made from an image, which ends with the block."""
    with (
        images.open_image(image, offline=True) as opened,
        Container(
            opened.root, name, options=options or Options(), binds=binds, deadline=deadline, proxies=proxies
        ) as machine,
    ):
        yield machine


def soon() -> Deadline:
    """When what a machine does should have been done, on a busy host too."""
    return Deadline(_SECONDS)


def ask(machine: Container, script: str, *words: object) -> str:
    """Have its root run a script, with words as its $1 and up, which succeeds; return what it prints."""
    done = machine.command(["sh", "-c", script, "sh", *map(str, words)], deadline=soon())
    assert done.status == 0, done
    return done.output


def add_unit(machine: Container, name: str, text: str) -> None:
    """Add a unit, and enable it if it can be."""
    machine.push(f"/etc/systemd/system/{name}", text.encode())
    ask(
        machine,
        'systemctl daemon-reload && { ! grep -q "^WantedBy" "/etc/systemd/system/$1" || systemctl enable "$1"; }',
        name,
    )
