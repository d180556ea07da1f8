"""The cells of a plan: each package in each image that installs it, in each variant, under a name that stays."""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, NamedTuple

from msgspec import UNSET

from postroj.errors import UsageError
from postroj.events import Warn, emit
from postroj.nearest import did_you_mean
from postroj.plan.file import Source
from postroj.plan.images import SUPPORTED, Image, is_of_the_past
from postroj.plan.images import read as read_images
from postroj.plan.layers import DEFAULTS, Layer, Value, from_environment, resolved, to_environment, variable
from postroj.plan.model import Options, Override, Plan, Tolerated, keys
from postroj.plan.packages import Entry, read_table, with_tables
from postroj.plan.packages import read as read_packages
from postroj.plan.select import Selector, parse_all
from postroj.plan.wording import counted, some

MOST_CELLS = 10_000
_MOST_COMPARED = 500
_SEE_LIST = "see `postroj test --list`"
_OPTIONS = {"packages": "PACKAGE", "images": "--image", "units": "--check-unit", "phases": "--phase"}
"""The keys that the command line calls otherwise."""


class Cell(NamedTuple):
    """A package in an image, in a variant."""

    image: Image
    entry: Entry
    variant: str = ""

    @property
    def name(self) -> str:
        """IMAGE:PACKAGE[:VARIANT]."""
        return ":".join(filter(None, (self.image.name, self.entry.name, self.variant)))

    def is_selected(self, selectors: Sequence[Selector]) -> bool:
        """Return whether one of these selects it."""
        return any(one.matches(self.image.names, self.entry.name, self.variant) for one in selectors)


class Cells:
    """A plan from all places where it can be written: files, of which the last goes first, and the command line.

    All of it raises UsageError, with the place, for what cannot be.
    """

    def __init__(self, sources: Sequence[Source], command: Plan, environment: Plan | None = None) -> None:
        self._sources = sources
        self._command = command
        self._environment = from_environment() if environment is None else environment

    @property
    def given(self) -> dict[str, str]:
        """The variables that set what the command line has set."""
        return to_environment(self._command)

    def value(self, key: str, default: Any = None) -> Any:
        """Return what a key of the whole plan is; `default` if nobody sets it."""
        return self._setting(key, default)[0]

    def at(self, key: str, error: UsageError) -> UsageError:
        """Return an error about a key of the whole plan, with the place where it was set."""
        return self._setting(key)[1].at(key, error)

    def _setting(self, key: str, default: Any = None) -> tuple[Any, "_Place"]:
        """Return what a key of the whole plan is, and where it was set."""
        for plan, place in (
            (self._command, _Place()),
            (self._environment, _Place(what=variable(key))),
            *((source.plan, _Place(source)) for source in reversed(self._sources)),
        ):
            value = getattr(plan, key)
            if value is not UNSET:
                return value, place
        return default, _Place()

    @cached_property
    def all(self) -> list[Cell]:
        """All of them, package by package, but for those that `only` and `exclude` leave out."""
        entries = self._entries()
        images = self._images(entries)
        variants = list(dict.fromkeys(name for source in self._sources for name in source.plan.variant)) or [""]
        count = sum(_fits(entry, image) for entry in entries for image in images) * len(variants)
        if count > MOST_CELLS:
            counts = {"package": len(entries), "image": len(images), "variant": len(variants)}
            packages, of_images, of_variants = (counted(number, word) for word, number in counts.items())
            what = f"{packages}, {of_images} and {of_variants} are {count:,} cells, and {MOST_CELLS:,} are the most"
            most = max(counts, key=lambda word: counts[word])
            raise UsageError(what, hint=f"name fewer {most}s")
        groups: dict[str, list[Entry]] = {}
        for entry in entries:  # one name may be of several formats
            groups.setdefault(entry.name, []).append(entry)
        cells = [
            Cell(image, entry, variant)
            for group in groups.values()
            for image in images
            for entry in group
            if _fits(entry, image)
            for variant in variants
        ]
        self._check_names(cells)
        self._check_layers(cells)
        return self._limited(cells)

    def _limited(self, cells: Sequence[Cell]) -> list[Cell]:
        """Return the cells that `only` and `exclude` leave. Raises UsageError if that is none."""
        kept = list(cells)
        for key, keeps in (("only", True), ("exclude", False)):
            texts, place = self._setting(key, ())
            if not texts:
                continue
            try:
                selectors = parse_all(texts)
            except UsageError as error:
                raise place.at(key, error) from error
            if not self._is_narrowed(place.source):
                for selector in selectors:
                    _check_selects(selector, cells, place.at(key, _nothing(selector, cells)))
            kept = [cell for cell in kept if cell.is_selected(selectors) is keeps]
            if not kept:
                raise place.at(key, UsageError("no cell is left", hint=_SEE_LIST))
        return kept

    def _images(self, entries: Sequence[Entry]) -> list[Image]:
        words, place = self._setting("images", (SUPPORTED,))
        if not words:
            raise place.at("images", UsageError("there are no images in it"))
        try:
            images = read_images(words, {entry.format for entry in entries}, place.source and place.source.directory)
            _check_fits(entries, images)
        except UsageError as error:
            raise place.at("images", error) from error
        return images

    def select(self, texts: Sequence[str]) -> list[Cell]:
        """Return the cells that selectors select; all of them without any."""
        if not texts:
            return self.all
        selectors = parse_all(texts)
        for selector in selectors:
            if not any(cell.is_selected([selector]) for cell in self.all):
                raise UsageError(f"no cell is selected by '{selector.text}'", hint=_nearest(selector.text, self.all))
        return [cell for cell in self.all if cell.is_selected(selectors)]

    def options(self, cell: Cell) -> dict[str, Value]:
        """Return the options of a cell, by their keys."""
        return resolved(list(self._layers(cell)))

    def allowed(self, cell: Cell) -> str:
        """Return the reason why a cell may fail, the plan's own before one that is extended; empty if it may not."""
        tolerated = (one for source in reversed(self._sources) for one in source.plan.allow_failure)
        return next((one.reason for one in tolerated if cell.is_selected(parse_all(one.select))), "")

    def _layers(self, cell: Cell) -> Iterator[Layer]:
        """Yield the options that hold for a cell; the last go first."""
        yield Layer(DEFAULTS, lambda *key: "default")
        for source in self._sources:
            yield _layer(source, source.plan)
        entry = cell.entry
        if entry.source and entry.table:
            yield _layer(entry.source, entry.table, "package", entry.number)
        for source in self._sources:
            if cell.variant in source.plan.variant:
                yield _layer(source, source.plan.variant[cell.variant], "variant", cell.variant)
        for source in self._sources:
            for number, override in enumerate(source.plan.override):
                if cell.is_selected(parse_all(override.select)):
                    yield _layer(source, override, "override", number)
        yield Layer(self._environment, lambda key: f"environment variable {variable(key)}")
        yield Layer(self._command, lambda key: f"command line, {_OPTIONS.get(key, f'--{key}')}")

    def _entries(self) -> list[Entry]:
        offline = self.value("offline", False)
        words, place = self._setting("packages", ())
        tables = [(source, number) for source in self._sources for number in range(len(source.plan.package))]
        try:
            entries = read_packages(words, place.source.directory if place.source else ".", offline=offline)
        except UsageError as error:
            raise place.at("packages", error) from error
        if entries and not place.source:  # the command line, or the environment, has chosen
            return with_tables(entries, tables)
        of_tables = [entry for table in tables for entry in read_table(*table, offline=offline)]
        entries = of_tables + [entry for entry in entries if not entry.is_among(of_tables)]
        if not entries:
            raise UsageError("there is no package to test", hint="name some: postroj test dist/; or see --init")
        return entries

    def _check_names(self, cells: Sequence[Cell]) -> None:
        seen: dict[str, Cell] = {}
        for cell in cells:
            if seen.setdefault(cell.name, cell) is cell:
                continue
            what, hint = f"two cells have the name {cell.name}", "give their packages other names"
            if cell.image.formats is None and cell.entry.format != seen[cell.name].entry.format:
                what += ": before the image is pulled, it is not known whether it installs "
                what += f"{seen[cell.name].entry.format} or {cell.entry.format}"
                hint = f"run `postroj pull {cell.image.reference}` first, or name packages of one format"
            if cell.entry.source:
                raise cell.entry.source.error(("package", cell.entry.number), f"is named twice: {what}", hint)
            raise UsageError(what, hint=hint)

    def _check_layers(self, cells: Sequence[Cell]) -> None:
        """Raise UsageError for values that cannot be, and for selectors that select nothing."""
        for source in self._sources:
            is_narrowed = self._is_narrowed(source)
            _layer(source, source.plan).check()
            for number, table in enumerate(source.plan.package):
                _layer(source, table, "package", number).check()
            for name, variant in source.plan.variant.items():
                _layer(source, variant, "variant", name).check()
            for number, override in enumerate(source.plan.override):
                _layer(source, override, "override", number).check()
                _check_selector(source, override, ("override", number), cells, is_narrowed=is_narrowed)
                _check_inherit(source, override, number)
            for number, tolerated in enumerate(source.plan.allow_failure):
                _check_selector(source, tolerated, ("allow-failure", number), cells, is_narrowed=is_narrowed)
        Layer(self._environment, lambda key, *item: variable(key), has_key=True).check()
        Layer(self._command, lambda key, *item: _OPTIONS.get(key, f"--{key}"), has_key=True).check()

    def _is_narrowed(self, source: Source | None) -> bool:
        """Return whether selectors of a file may select nothing, as there are fewer cells than those it is for.

        The command line has chosen packages or images then, or the file is extended: others extend it as well.
        """
        chosen = [getattr(plan, key) for plan in (self._command, self._environment) for key in ("packages", "images")]
        return source is not None and (source is not self._sources[-1] or any(one is not UNSET for one in chosen))


class _Place(NamedTuple):
    """Where a key was set."""

    source: Source | None = None
    what: str = ""
    """The variable, if it was one."""

    def at(self, key: str, error: UsageError) -> UsageError:
        """Return an error about it, with the place."""
        if self.source:
            return self.source.at((key,), error)
        return UsageError(f"{self.what}: {error.what}" if self.what else error.what, hint=error.hint)


def _check_fits(entries: Sequence[Entry], images: Sequence[Image]) -> None:
    """Raise UsageError for an image that was named and installs none of the packages; tell of the reverse."""
    for image in images:
        if image.is_chosen and not any(_fits(entry, image) for entry in entries):
            formats = ", ".join(sorted({entry.format for entry in entries}))
            raise UsageError(f"the image {image.reference} installs none of the packages ({formats})")
    left_out = [one.packages[0].reference for one in entries if not any(_fits(one, image) for image in images)]
    if len(left_out) == len(entries):
        raise UsageError(f"no image of these installs {some(left_out)}", hint="name others, by `images` or --image")
    if left_out:
        told = "they are" if len(left_out) > 1 else "it is"
        emit(Warn(f"no image of the plan installs {some(left_out)}: {told} left out"))


def _fits(entry: Entry, image: Image) -> bool:
    """Return whether an image installs packages, as far as can be told before it is pulled."""
    return not entry.format or image.formats is None or entry.format in image.formats


def _layer(source: Source, options: Options, *path: str | int) -> Layer:
    inherit = options.inherit if isinstance(options, Override) else ()
    return Layer(options, lambda *key: source.where((*path, *key)), source.directory, inherit)


def _check_selector(
    source: Source, table: Override | Tolerated, path: tuple[str, int], cells: Sequence[Cell], *, is_narrowed: bool
) -> None:
    if not table.select:
        raise source.error((*path, "select"), "is empty, and so selects no cell")
    try:
        selectors = parse_all(table.select)
    except UsageError as error:
        raise source.at((*path, "select"), error) from error
    for selector in () if is_narrowed else selectors:
        _check_selects(selector, cells, source.error((*path, "select"), *_told(selector, cells)))


def _check_selects(selector: Selector, cells: Sequence[Cell], error: UsageError) -> None:
    """Raise an error about a selector if it selects no cell; tell of it if that is as its image is past its support."""
    if any(cell.is_selected([selector]) for cell in cells):
        return
    if any(selector.has_image(cell.image.names) for cell in cells) or not is_of_the_past(selector.image):
        raise error
    emit(Warn(f"{error.what}: the image is past its support"))  # no reason to fail from that day on


def _nothing(selector: Selector, cells: Sequence[Cell]) -> UsageError:
    what, hint = _told(selector, cells)
    return UsageError(what, hint=hint)


def _told(selector: Selector, cells: Sequence[Cell]) -> tuple[str, str]:
    return f"'{selector.text}' selects no cell", _nearest(selector.text, cells)


def _nearest(text: str, cells: Sequence[Cell]) -> str:
    """Return a hint for a selector that selects no cell: one that does, if it is near."""
    image = text.partition(":")[0]
    of_image = [cell for cell in cells if any(fnmatchcase(name, image) for name in cell.image.names)]
    if of_image:  # so it is the package that is mistyped, or the variant
        known = [f"{image}:{cell.name.partition(':')[2]}" for cell in of_image[:_MOST_COMPARED]]
    else:
        names = dict.fromkeys(name for cell in cells for name in cell.image.names)
        known = [*(f"{name}:*" for name in names), *(cell.name for cell in cells[:_MOST_COMPARED])]
    return did_you_mean(text, known) or _SEE_LIST


def _check_inherit(source: Source, override: Override, number: int) -> None:
    for key in override.inherit:
        if not isinstance(getattr(override, keys(Options).get(key, ""), None), tuple):
            raise source.error(("override", number, "inherit"), f"names {key}, which is no list of this override")
