"""What fills the cache: the image, not booted, in which nothing runs but its package manager."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import NamedTuple

from postroj.cache import seal as seals
from postroj.cache import take
from postroj.cache.seal import Answer, File, Seal
from postroj.cache.shelf import Layer, Shelf
from postroj.capture import Tail, sink_into
from postroj.container import Bind
from postroj.container.options import Options
from postroj.container.unbooted import Unbooted
from postroj.deadline import Deadline
from postroj.errors import DeadlineError, HostError
from postroj.events import Debug, Output, emit
from postroj.family import Family
from postroj.family.cache import Kept
from postroj.streams import Streams


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
    added: Mapping[str, str]
    """Files of repositories that are added, by their paths in the guest."""
    packages: Sequence[Bind]
    """Packages that are files; no lists are fetched where they are."""
    options: Options
    limit: int
    """The bytes that a layer may have."""
    deadline: Deadline

    def update(self, shelf: Shelf, old: Layer | None) -> Layer:
        """Make a layer of lists that are up to date, with the packages that are there. Raises HostError, OSError."""
        begun = time.time()
        with self._run(self.kept.update, old, ()) as (output, upper), shelf.new_layer() as path:
            self._make_directories(os.path.join(path, "root"))
            files: dict[str, File] = {}
            room = self.limit
            for directory in self.kept.lists:
                room = self._merge(upper, directory, path, old, files, room)
            lists = [os.path.join(path, "root", name) for name in files]
            for name in self._packages(old) if old and old.size <= room else ():
                assert old
                if self.kept.is_listed(os.path.basename(name), old.seal.files[name].sha256, lists):
                    files[name] = _linked(old, name, path)
            there = {url: file for url, file in self.kept.read_indexes(output).items() if file in files}
            return shelf.activate(path, Seal(begun, files, there, {}))

    def fetch(self, shelf: Shelf, old: Layer, requests: Mapping[str, Sequence[str]]) -> Layer:
        """Make a layer that has all packages of some requests as well: words as the family takes them.

        Raises HostError, OSError.
        """
        answers = dict(old.seal.requests)
        with shelf.new_layer() as path:
            self._make_directories(os.path.join(path, "root"))
            files = {name: _linked(old, name, path) for name in old.seal.files}
            lists = [os.path.join(path, "root", name) for name in files.keys() - set(self._packages(old))]
            for key, words in requests.items():
                answers[key] = self._ask(words, old)
                for argv in self.family.fetch(words):
                    with self._run(argv, old, self.packages) as (_, upper):
                        self._add_packages(upper, path, lists, files)
            return shelf.activate(path, old.seal._replace(files=files, requests=answers))

    def _ask(self, words: Sequence[str], layer: Layer) -> Answer:
        """Return what the package manager says of packages."""
        resolved = "".join(map(partial(self._output, layer=layer), self.family.resolve(words, lists=True)))
        names = [one.name for one in self.family.plan(resolved).installed]
        command = self.family.sources(names) if names else []
        return Answer(resolved, self._output(command, layer=layer) if command else "")

    def _output(self, argv: Sequence[str], *, layer: Layer) -> str:
        with self._run(argv, layer, self.packages) as (output, _):
            return output

    @contextmanager
    def _run(self, argv: Sequence[str], layer: Layer | None, packages: Sequence[Bind]) -> Iterator[tuple[str, int]]:
        """What a command prints, and what it has written, when it has ended. Raises HostError if it fails."""
        output = Tail(lambda line: emit(Output(self.name, line), machine=self.name))
        with (
            sink_into(output.add) as sink,
            _Fetching(
                self.root, self.name, argv, Streams(None, sink, sink),
                binds=packages, files=self.added, options=self.options, deadline=self.deadline, proxies=True,
                layer=layer.root if layer else "", env={"LANG": "C.UTF-8", **self.family.environment},
            ) as one,
        ):  # fmt: skip
            status = _waited(one, self.deadline)
            if status != 0:
                raise HostError(f"{argv[0]} in the image failed (status {status})", why=output.text()[-2000:])
            with one.written() as layers:
                if not layers:
                    raise HostError("the container has written nothing")
                yield output.text(), layers[0]

    def _make_directories(self, root: str) -> None:
        """Make the directories of lists and packages, with the owners and modes that they have in the image."""
        for place in (*self.kept.lists, self.kept.packages):
            path = ""
            for part in place.split("/"):
                path = os.path.join(path, part)
                own = os.path.join(root, path)
                with suppress(FileExistsError):
                    os.mkdir(own, 0o755)
                    with suppress(FileNotFoundError):
                        status = os.lstat(os.path.join(self.root, path))
                        os.chown(own, status.st_uid, status.st_gid)
                        os.chmod(own, status.st_mode & 0o7777)

    def is_possible(self) -> bool:
        """Return whether the image has its directories where a layer could show them: none of them is a link."""
        for place in (*self.kept.lists, self.kept.packages):
            parts = place.split("/")
            for length in range(1, len(parts) + 1):
                path = os.path.join(self.root, *parts[:length])
                if os.path.lexists(path) and (os.path.islink(path) or not os.path.isdir(path)):
                    return False
        return True

    def _merge(
        self, upper: int, directory: str, path: str, old: Layer | None, files: dict[str, File], room: int
    ) -> int:
        """Take a directory as the container has seen it; return the bytes that are left for more."""
        with take.listing(upper, directory) as (fd, names):
            for name in names:
                if name in self.kept.ignored:
                    continue
                own = os.path.join(directory, name)
                size = take.copy(fd, name, os.path.join(path, "root", own), room)
                if size >= 0:
                    room -= size
                    files[own] = seals.look(os.path.join(path, "root", own))
        for own in old.seal.files if old else ():
            if os.path.dirname(own) == directory and os.path.basename(own) not in names:
                assert old
                files[own] = _linked(old, own, path)
                room -= files[own].size
        return room

    def _packages(self, layer: Layer) -> list[str]:
        return [name for name in layer.seal.files if os.path.dirname(name) == self.kept.packages]

    def _add_packages(self, upper: int, path: str, lists: Sequence[str], files: dict[str, File]) -> None:
        """Take the packages that the lists name."""
        room = self.limit - sum(file.size for file in files.values())
        with take.listing(upper, self.kept.packages) as (fd, names):
            for name in names:
                own = os.path.join(self.kept.packages, name)
                if not name.endswith(self.kept.suffix) or own in files:
                    continue
                copied = os.path.join(path, "root", own)
                if take.copy(fd, name, copied, room) < 0:
                    continue
                found = seals.look(copied)
                if self.kept.is_listed(name, found.sha256, lists):
                    files[own] = found
                    room -= found.size
                else:
                    emit(Debug(f"{name} is in no package list with this checksum, and is not kept"))
                    os.unlink(copied)


def _linked(old: Layer, name: str, path: str) -> File:
    new = os.path.join(path, "root", name)
    os.link(os.path.join(old.root, name), new)
    return seals.look(new, old.seal.files[name].sha256)


def _waited(one: Unbooted, deadline: Deadline) -> int:
    """Return the exit status of the command. Raises DeadlineError, in words that name no command."""
    try:
        return one.wait(deadline)
    except DeadlineError as error:
        what = "--timeout expired while package lists and packages were being downloaded"
        raise DeadlineError(what, why=error.why, hint=error.hint) from error
