"""The package cache: what guests would download, fetched once for all machines of an image. docs/cache.md says how."""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import NamedTuple

from postroj.cache import fresh, shelf
from postroj.cache.filler import Filler
from postroj.cache.seal import Answer
from postroj.cache.shelf import Layer, Shelf
from postroj.container import Bind
from postroj.container.options import HOST, NONE, Options
from postroj.deadline import Deadline
from postroj.errors import DeadlineError, PostrojError
from postroj.events import Debug, Step, emit
from postroj.family import Family
from postroj.family.repository import Addition


class Wanted(NamedTuple):
    """What a machine is going to install."""

    image: str
    """The image's name, for messages."""
    root: str
    key: str
    """What tells the image from any other one: its digest, and its platform."""
    family: Family
    groups: Sequence[Sequence[str]]
    """The packages, as the family takes them: those of a group are installed together; a group may be empty."""
    binds: Sequence[Bind]
    """The files among them, where the guest has them."""
    names: Mapping[str, str]
    """The names of all these packages, by the words for them."""
    added: Addition
    """The repositories that are added."""
    options: Options
    size: int
    """The bytes that the cache may have; 0: no cache."""


class Given(NamedTuple):
    """What the cache gives to a machine."""

    root: str = ""
    """A directory with files that it is to see over its image: lists that are up to date, and packages.

    Empty if there is none: the guest downloads by itself then.
    """
    answers: Sequence[Answer | None] = ()
    """What is known of each group, as long as nothing else is installed."""
    is_current: Callable[[], bool] = lambda: True
    """Wait for the repositories, and return whether the lists are up to date."""


@contextmanager
def given(wanted: Wanted, *, deadline: Deadline, at_once: bool = False) -> Iterator[Given]:
    """What a machine is given; the directory stays as it is inside the block.

    `at_once` it is what was there, if that is all that is wanted; the repositories are asked meanwhile. If they have
    changed, as `Given.is_current` tells, it has to be asked for again.
    """
    with ExitStack() as stack:
        found = Given()
        if wanted.size and any(wanted.groups) and wanted.family.kept and wanted.options.network != NONE:
            try:
                found = _provided(wanted, deadline, stack, at_once)
            except DeadlineError:
                raise
            except (PostrojError, OSError) as error:
                why = f": {error.why}" if isinstance(error, PostrojError) and error.why else ""
                emit(Debug(f"the package cache is not used: {error}{why}"))
        yield found


def _provided(wanted: Wanted, deadline: Deadline, stack: ExitStack, at_once: bool) -> Given:
    kept = wanted.family.kept
    assert kept
    asked = time.time()
    options = Options(network=wanted.options.network, disk=wanted.options.disk)
    filler = Filler(
        wanted.root, f"postroj-fetch-{wanted.image.replace('.', '-')}"[:44].rstrip("-"), wanted.family, kept,
        wanted.added, wanted.binds, wanted.names, options, wanted.size, deadline,
    )  # fmt: skip
    if not filler.is_possible():
        return Given()
    repositories = sorted(wanted.added.files.items())
    with shelf.opened(f"{wanted.family.name} {wanted.key} {repositories}", deadline=deadline) as own:
        keys = _keys(wanted)
        found = own.current()
        if found and found.seal.indexes and not any(found.seal.indexes.values()):
            return Given()  # the image's package manager has no list where it is looked for
        requests = {key: words for key, words in zip(keys, wanted.groups, strict=True) if words}
        if at_once and found and requests.keys() <= found.seal.requests.keys():
            is_current = _asked(own, filler, found, asked)
        else:
            found, is_current = _filled(own, filler, found, requests, asked), lambda: True
        stack.enter_context(shelf.hold(found))
    if shelf.is_over(wanted.size):
        shelf.sweep(wanted.size)
    emit(Debug(f"{wanted.image} gets its package lists, and packages that were downloaded before, from the cache"))
    return Given(found.root, [found.seal.requests.get(key) for key in keys], is_current)


def _filled(
    own: Shelf, filler: Filler, current: Layer | None, requests: Mapping[str, Sequence[str]], asked: float
) -> Layer:
    """Return a layer that is up to date and has the packages, as far as they can be had."""
    if current is None or not (own.asked_at() >= asked or _asked(own, filler, current, time.time())()):
        emit(Step(filler.name, "updating the package lists of the cache"))
        now = time.time()
        current = filler.update(own, current)
        own.note_asked(now)
    lacking = {key: words for key, words in requests.items() if key not in current.seal.requests}
    if lacking:
        emit(Step(filler.name, "downloading packages into the cache"))
        try:
            current = filler.fetch(own, current, lacking)
        except (PostrojError, OSError) as error:  # the guest says why; it has the lists at least
            emit(Debug(f"packages are not in the cache: {error}"))
    return current


def _asked(own: Shelf, filler: Filler, layer: Layer, now: float) -> Callable[[], bool]:
    """Begin to ask whether a layer is up to date; return what waits for the answer, and notes it."""
    wait = fresh.ask(
        layer.root, layer.seal, filler.kept, image=filler.root, deadline=filler.deadline,
        anywhere=filler.options.network == HOST,
    )  # fmt: skip

    def is_current() -> bool:
        found = wait()
        if found:
            with suppress(OSError):
                own.note_asked(now)
        return found

    return is_current


def _keys(wanted: Wanted) -> list[str]:
    """Return for each group what tells it from other ones."""
    sums = {bind.target: _sum(bind.source) for bind in wanted.binds}
    told = [repr([(word, sums.get(word, "")) for word in group]) for group in wanted.groups]
    return [hashlib.sha256(one.encode()).hexdigest() for one in told]


def _sum(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
