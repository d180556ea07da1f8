"""What fills the cache: the image, not booted, in which nothing runs but its package manager."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from postroj.cache.contents import Contents
from postroj.cache.seal import Answer, Seal
from postroj.cache.shelf import Layer, Shelf
from postroj.capture import Tail, sink_into
from postroj.container import Bind
from postroj.container.options import Options
from postroj.container.unbooted import Unbooted
from postroj.contract import Completed
from postroj.deadline import Deadline
from postroj.errors import DeadlineError, HostError
from postroj.events import Output, emit
from postroj.family import Commands, Family
from postroj.family.cache import Kept
from postroj.family.plan import Plan
from postroj.family.repository import Addition
from postroj.streams import Streams

# Each command is the number of its words, and they; all but the last one tell only of their failure.
_ONE_AFTER_THE_OTHER = r"""
while count=$1; shift; [ $# -gt "$count" ]; do
    told=$(
        total=$# at=0
        while [ "$at" -lt "$total" ]; do
            word=$1
            shift
            [ "$at" -ge "$count" ] || set -- "$@" "$word"
            at=$((at + 1))
        done
        "$@" 2>&1
    ) || { printf '%s\n' "$told"; exit 1; }
    shift "$count"
done
exec "$@"
"""


class _Fetching(Unbooted):
    """It runs as the machine will, which says the same."""

    def _warn(self) -> None:
        pass


class Filler(NamedTuple):
    """An image, and how it is run."""

    root: str
    name: str
    family: Family
    kept: Kept
    added: Addition
    """The repositories that are added."""
    packages: Sequence[Bind]
    """Packages that are files; no lists are fetched where they are."""
    names: Mapping[str, str]
    """The names of the packages that are asked for, by the words of the requests."""
    options: Options
    limit: int
    """The bytes that a layer may have."""
    deadline: Deadline

    def update(self, shelf: Shelf, old: Layer | None) -> Layer:
        """Make a layer of lists that are up to date, with the packages that are there. Raises HostError, OSError."""
        begun = time.time()
        with self._run(self.kept.update, old, ()) as (done, upper), shelf.new_layer() as path:
            contents = self._contents(path)
            contents.add_lists(upper, old)
            indexes = self.kept.read_indexes(done.output, contents.lists)
            if old:
                contents.link_packages(old)
            return shelf.activate(path, Seal(begun, contents.files, indexes, {}))

    def fetch(self, shelf: Shelf, old: Layer, requests: Mapping[str, Sequence[str]]) -> Layer:
        """Make a layer that has all packages of some requests as well: words as the family takes them.

        Raises HostError, OSError.
        """
        answers = dict(old.seal.requests)
        with shelf.new_layer() as path:
            contents = self._contents(path)
            contents.link(old, old.seal.files)
            for key, words in requests.items():
                answers[key] = self._fetched(words, old, contents)
            return shelf.activate(path, old.seal._replace(files=contents.files, requests=answers))

    def _contents(self, path: str) -> Contents:
        return Contents(path, self.root, self.kept, self.limit)

    def _fetched(self, words: Sequence[str], old: Layer, contents: Contents) -> Answer:
        """Take what a request needs, and return what the package manager says of it."""
        answer, plan = self._ask(words, old)
        again = [word for word in words if self.names.get(word) in plan.unchanged]
        binds = self.packages
        if self.kept.signatures:
            names = [one.name for one in plan.installed if not one.is_local]
            words, binds = [name for name in names if self.family.word.fullmatch(name)], ()
        is_whole = True
        for argv in self.family.fetch(words, again=again) if words else ():
            with self._run(argv, old, binds, self.family.succeeded) as (_, upper):
                is_whole &= contents.add_packages(upper)
        return answer if is_whole else Answer("", "")

    def _ask(self, words: Sequence[str], layer: Layer) -> tuple[Answer, Plan]:
        """Return what the package manager says of packages, and what that means."""
        resolved = ""
        for argv in self.family.resolve(words, lists=True):
            with self._run(argv, layer, self.packages, self.family.resolved) as (done, _):
                resolved += done.output
        plan = self.family.plan(resolved)
        names = [one.name for one in plan.installed]
        command = self.family.sources(names) if names else []
        if not command:
            return Answer(resolved, ""), plan
        with self._run(command, layer, self.packages) as (done, _):
            return Answer(resolved, done.output), plan

    @contextmanager
    def _run(
        self,
        argv: Sequence[str],
        layer: Layer | None,
        packages: Sequence[Bind],
        has_succeeded: Callable[[Completed], bool] = lambda done: done.status == 0,
    ) -> Iterator[tuple[Completed, int]]:
        """How a command has ended, and what it has written. Raises HostError if it fails."""
        output = Tail(lambda line: emit(Output(self.name, line), machine=self.name))
        with (
            sink_into(output.add) as sink,
            _Fetching(
                self.root, self.name, _after(self.added.commands, argv), Streams(None, sink, sink),
                binds=packages, files=self.added.files, options=self.options, deadline=self.deadline, proxies=True,
                layer=layer.root if layer else "", env={"LANG": "C.UTF-8", **self.family.environment},
            ) as one,
        ):  # fmt: skip
            status = _waited(one, self.deadline)
            done = Completed(status, output.text())
            if not has_succeeded(done):
                raise HostError(f"{argv[0]} in the image failed (status {status})", why=done.output[-2000:])
            with one.written() as layers:
                if not layers:
                    raise HostError("the container has written nothing")
                yield done, layers[0]

    def is_possible(self) -> bool:
        """Return whether the image has its directories where a layer could show them: none of them is a link."""
        if any(os.path.lexists(os.path.join(self.root, path)) for path in self.kept.unless):
            return False
        for place in (*self.kept.lists, *self.kept.packages):
            parts = place.partition("/*")[0].split("/")
            for length in range(1, len(parts) + 1):
                path = os.path.join(self.root, *parts[:length])
                if os.path.lexists(path) and (os.path.islink(path) or not os.path.isdir(path)):
                    return False
        return True


def _after(commands: Commands, argv: Sequence[str]) -> Sequence[str]:
    """Return the command that runs `argv` after others, unless one of them fails."""
    if not commands:
        return argv
    words = [word for one in (*commands, argv) for word in (str(len(one)), *one)]
    return ["sh", "-c", _ONE_AFTER_THE_OTHER, "sh", *words]


def _waited(one: Unbooted, deadline: Deadline) -> int:
    """Return the exit status of the command. Raises DeadlineError, in words that name no command."""
    try:
        return one.wait(deadline)
    except DeadlineError as error:
        what = "--timeout expired while package lists and packages were being downloaded"
        raise DeadlineError(what, why=error.why, hint=error.hint) from error
