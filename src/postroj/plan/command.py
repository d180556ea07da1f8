"""A cell as the command line of `postroj pkgprobe` that probes it: an argument list, which no shell ever sees."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache

from msgspec.structs import fields

from postroj import family
from postroj.container.options import PRIVATE, option_of
from postroj.container.options import Options as ContainerOptions
from postroj.errors import UsageError
from postroj.events import Warn, emit
from postroj.harness.life import check_has_earlier, check_uses
from postroj.harness.life.earlier import check_earlier
from postroj.package import repository
from postroj.package.reference import Package, called, is_url
from postroj.plan.cells import Cell
from postroj.plan.checks import text_of
from postroj.plan.layers import LIFECYCLE, Value
from postroj.plan.model import Options, meta
from postroj.plan.packages import opened
from postroj.plan.wording import some

_OF_CONTAINERS = tuple(map(option_of, ContainerOptions._fields))
_OF_UPGRADES = (LIFECYCLE, "upgrade", "downgrade")


Place = Callable[[str], str]
"""Return the path that a file has where the command is run."""


class Lacking:
    """The packages that have no earlier release: told of at once, as there may be many."""

    def __init__(self) -> None:
        self._packages: dict[str, dict[str, None]] = {}
        """By what should have named one: an ordered set."""

    def add(self, where: str, package: str) -> None:
        """Add one."""
        self._packages.setdefault(where, {})[package] = None

    def tell(self) -> None:
        """Warn of all."""
        for where, packages in self._packages.items():
            emit(Warn(f"{where} has no earlier release of {some(list(packages))}"))


def command(cell: Cell, options: Mapping[str, Value], lacking: Lacking, place: Place = lambda path: path) -> list[str]:
    """Return the arguments of `postroj` that probe a cell. Raises UsageError, DownloadError."""
    _check_phases(cell, options, lacking)
    _check_vm(cell, options)
    _check_repositories(cell, options)
    words = ["pkgprobe", f"--image={cell.image.reference}"]
    words += [f"--package={_placed(package, place)}" for package in cell.entry.packages]
    for key, value in options.items():
        words += _words(key, value, cell, options, lacking, place)
    return words


def _check_phases(cell: Cell, options: Mapping[str, Value], lacking: Lacking) -> None:
    """Raise UsageError for phases that need what is not given."""
    value = options["phases"]
    phases = value.value
    if LIFECYCLE in phases:
        return
    if set(phases) & set(_OF_UPGRADES):
        given = options.get("upgrade-from")
        has_earlier = bool(given and _releases("upgrade-from", given, cell, options, lacking))
        with _located("phases", value, cell, hint="name it in upgrade-from"):
            check_has_earlier(phases, has_earlier=has_earlier)
    with _located("phases", value, cell, hint="add check to them"):
        check_uses(phases, units=_is_set("units", options), checks=_is_set("check", options))


def _check_vm(cell: Cell, options: Mapping[str, Value]) -> None:
    """Raise UsageError for options that a VM does not have."""
    asking = next((key for key in ("vm", "provider") if _is_set(key, options)), "")
    if not asking and not cell.image.is_vm:
        return
    hint = f"{asking} is set in {options[asking].origins[-1]}" if asking else f"{cell.image.name} is a virtual machine"
    for key in _OF_CONTAINERS:
        if _is_set(key, options) and options[key].value != PRIVATE:
            what = f"{options[key].origins[-1]}: {key}: a VM has a kernel and a network of its own"
            raise UsageError(f"{what}: {cell.name}", hint=hint)


def _check_repositories(cell: Cell, options: Mapping[str, Value]) -> None:
    """Raise UsageError for repositories without keys, keys without repositories, and what is not for the image."""
    given = {key: options[key] for key in ("repo", "repo-unsigned", "repo-key") if _is_set(key, options)}
    if not given:
        return
    keys = given.get("repo-key")
    files = [_key(*one, str) for one in zip(keys.value, keys.directories, strict=True)] if keys else []
    signed, unsigned = (given[key].value if key in given else () for key in ("repo", "repo-unsigned"))
    with _located(*next(iter(given.items())), cell):
        found = repository.check(signed, unsigned, files)
        if cell.image.family:
            repository.Repositories(found).check_fits(cell.image.name, family.load(cell.image.family))


def _is_set(key: str, options: Mapping[str, Value]) -> bool:
    return key in options and bool(options[key].value)


def _words(
    key: str, value: Value, cell: Cell, options: Mapping[str, Value], lacking: Lacking, place: Place
) -> list[str]:
    option = _options()[key]
    match key:
        case "phases" if LIFECYCLE in value.value:
            return ["--lifecycle"]
        case "upgrade-from" if not set(options["phases"].value) & set(_OF_UPGRADES):
            return []
        case "cache-size" if "no-cache" in options and options["no-cache"].value:
            return []
        case "upgrade-from" | "baseline":
            return [f"{option}={_placed(one, place)}" for one in _releases(key, value, cell, options, lacking)]
        case "with":
            return [f"{option}={_placed(one, place)}" for one in _opened(key, value, options) if _is_alike(one, cell)]
        case "check":
            return [f"{option}={text_of(check)}" for check in value.value]
        case "repo-key":
            return [f"{option}={_key(*one, place)}" for one in zip(value.value, value.directories, strict=True)]
        case _ if isinstance(value.value, tuple):
            return [f"{option}={one}" for one in value.value]
        case _ if isinstance(value.value, bool):
            return [option] if value.value else []
        case _ if isinstance(value.value, float):
            return [f"{option}={value.value:g}"]
    return [f"{option}={value.value}"]


def _releases(key: str, value: Value, cell: Cell, options: Mapping[str, Value], lacking: Lacking) -> list[Package]:
    """Return those packages that are earlier releases of the cell's."""
    names = {package.name for package in cell.entry.packages}
    own = {os.path.realpath(package.file) for package in cell.entry.packages if package.file}
    others = _opened(key, value, options, older_than=cell.entry.packages)
    found = [one for one in others if one.name in names and _is_alike(one, cell)]
    found = [one for one in found if not one.file or os.path.realpath(one.file) not in own]  # one directory for all
    if key == "upgrade-from":
        with _located(key, value, cell):
            check_earlier(cell.entry.packages, found)
    if not found:
        lacking.add(f"{value.origins[-1]}: {key}", called(cell.entry.packages))
    return found


def _is_alike(package: Package, cell: Cell) -> bool:
    """Return whether a package can be in the cell's machine: files have its format."""
    return not package.file or not cell.entry.format or package.format == cell.entry.format


def _opened(
    key: str, value: Value, options: Mapping[str, Value], *, older_than: tuple[Package, ...] = ()
) -> Sequence[Package]:
    offline = "offline" in options and options["offline"].value
    with _located(key, value):
        return [
            package
            for directory in dict.fromkeys(value.directories)
            for package in _opened_once(
                tuple(one for one, its in zip(value.value, value.directories, strict=True) if its == directory),
                directory or ".",
                offline,
                older_than,
            )
        ]


@cache
def _opened_once(
    references: tuple[str, ...], directory: str, offline: bool, older_than: tuple[Package, ...]
) -> Sequence[Package]:
    return opened(references, directory, offline=offline, older_than=older_than)


@contextmanager
def _located(key: str, value: Value, cell: Cell | None = None, *, hint: str = "") -> Iterator[None]:
    """Have errors of the block name the place where a key was set, and the cell; `hint` takes the place of theirs."""
    try:
        yield
    except UsageError as error:
        told = ": ".join(filter(None, (value.origins[-1], key, error.what, cell.name if cell else "")))
        raise UsageError(told, hint=hint or error.hint) from error


def _placed(package: Package, place: Place) -> str:
    """Return what a package is called in the command: a URL was fetched to a file already."""
    if not package.file:
        return package.reference
    return place(package.file if is_url(package.reference) else package.reference)


def _key(text: str, directory: str, place: Place) -> str:
    return text if is_url(text) else place(os.path.relpath(os.path.join(directory or ".", os.path.expanduser(text))))


@cache
def _options() -> dict[str, str]:
    """Return the options of `pkgprobe` by the keys of a plan."""
    return {field.encode_name: meta(field)[1] for field in fields(Options)}
