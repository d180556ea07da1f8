"""`postroj image`: look at the images that are here, remove them, check them, bring and take them as files."""

import argparse
import datetime
import json
import os
import re
import sys
import time
from collections.abc import Collection, Sequence

from postroj import image as images
from postroj.cli import add_verbosity
from postroj.cli.common import out_of_range, print_removed, require_root
from postroj.cli.live import live
from postroj.cli.pull import image_summary
from postroj.cli.show import paint
from postroj.container import sweep
from postroj.container.host import record
from postroj.errors import ImageError, UsageError
from postroj.events import Warn, emit
from postroj.image import boxes, boxstore, catalogue, store
from postroj.image.boxstore import BuiltBox
from postroj.report import printable

_DAYS = re.compile(r"([0-9]{1,5})d")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the commands."""
    commands = parser.add_subparsers(metavar="COMMAND", dest="image_command", required=True)

    def add(name: str, help: str, names: str = "") -> argparse.ArgumentParser:
        command: argparse.ArgumentParser = commands.add_parser(
            name, help=help, description=help[0].upper() + help[1:] + "."
        )
        command.set_defaults(parser=command)
        add_verbosity(command)
        if names:
            command.add_argument("names", nargs=names, metavar="IMAGE", help="a name, an alias or a reference")
        return command

    add("inspect", "print what is known of images, as JSON", "+")
    add("rm", "remove images and the boxes made of them (running machines keep theirs until they exit)", "+")
    verify = add("verify", "compare all files of images (by default of all downloaded ones) with what was pulled", "*")
    verify.epilog = "exit status: 0 if nothing has changed, 3 otherwise"
    prune = add("prune", "remove old or unused images and boxes, partial downloads and the package cache")
    prune.epilog = (
        "Without --older-than and --unused-for, partial downloads and the cached packages that no machine uses are "
        "removed, and no images or boxes; with both, those that are both."
    )
    prune.add_argument("--older-than", type=_days, metavar="DAYS", help="pulled at least this long ago, such as 30d")
    prune.add_argument("--unused-for", type=_days, metavar="DAYS", help="not used for at least this long, such as 30d")
    prune.add_argument("--dry-run", action="store_true", help="only print what would be removed")
    bring = add("import", "make an image from a tarball (a file or an http(s) URL) or a directory")
    bring.add_argument(
        "source",
        metavar="TARBALL|DIRECTORY",
        help="a path, or the URL of a tarball; append #sha256=… or #sha256sums=FILE to have it checked",
    )
    bring.add_argument("name", metavar="NAME", help="name of the new image")
    take = add("export", "write an image to a tarball that can be imported")
    take.add_argument("name", metavar="IMAGE", help="a name, an alias or a reference of a downloaded image")
    take.add_argument(
        "file", metavar="FILE", help="compressed according to its suffix: .tar, .tar.gz, .tar.xz, .tar.zst, .tar.bz2; "
        "replaced if it is there; .tar.zst is the quickest of the small ones, .tar.xz takes minutes"
    )  # fmt: skip


def handle(args: argparse.Namespace) -> int:
    """Do it."""
    require_root()
    return {
        "inspect": _inspect, "rm": _remove, "verify": _verify, "prune": _prune, "import": _import, "export": _export
    }[args.image_command](args)  # fmt: skip


def _inspect(args: argparse.Namespace) -> int:
    found = []
    for name in map(_name, args.names):
        with store.open_existing(name) as image:
            used = datetime.datetime.fromtimestamp(store.last_used(image), datetime.UTC)
            found.append({**image._asdict(), "boots": image.boots, "used": used.isoformat(timespec="seconds")})
    print(json.dumps(found, indent=2))
    return 0


def _remove(args: argparse.Namespace) -> int:
    for name in _here(args.names, also={box.image for box in boxstore.list_boxes()}):
        if store.remove(name):
            print(f"removed {name}")
            _tell_users(name)
        if boxstore.remove(name):
            print(f"removed the box of {name}")
    return 0


def _tell_users(name: str) -> None:
    """Say which machines run on an image that was removed."""
    users = sorted(machine for machine, known in record.living().items() if known and known.image == name)
    if users:
        they = "these machines, which keep" if len(users) > 1 else "this machine, which keeps"
        emit(Warn(f"{name} is used by {they} its files until the end: {', '.join(users)}"))


def _verify(args: argparse.Namespace) -> int:
    bad = 0
    for name in _here(args.names) or store.list_names():
        try:
            differences = store.verify(name)
        except ImageError as error:
            differences = [f"{error.what}: {error.why}"]
        bad += bool(differences)
        word, colour = ("bad", "red") if differences else ("ok ", "green")
        print(f"{paint(word, colour, sys.stdout)} {name}")
        for difference in differences:
            print(f"  | {printable(difference)}")
    if bad:
        sys.stdout.flush()
        args.show.hint("fix them: postroj pull --update IMAGE…")
    return 3 if bad else 0


def _prune(args: argparse.Namespace) -> int:
    from postroj.cache import shelf
    from postroj.image import downloads

    now = time.time()
    old = [name for name in store.list_names() if _is_old(name, args, now)]
    for name in old:
        if not args.dry_run:
            store.remove(name)
            _tell_users(name)
    aged = [box.image for box in boxstore.list_boxes() if _is_old_box(box, args, now)]
    old_boxes = [name for name in aged if args.dry_run or boxstore.remove(name)]
    swept = [] if args.dry_run else [*store.sweep(), *boxstore.sweep()]
    packages = shelf.sweep(0, dry_run=args.dry_run)
    gone = [
        *old,
        *(f"box of {name}" for name in old_boxes),
        *swept,
        *downloads.sweep(older_than=0, dry_run=args.dry_run),
        *packages,
    ]
    print_removed(gone, "would remove" if args.dry_run else "removed")
    return 0


def _is_old_box(box: BuiltBox, args: argparse.Namespace, now: float) -> bool:
    try:
        return _is_of_age(datetime.datetime.fromisoformat(box.made).timestamp(), boxstore.last_used(box), args, now)
    except (OSError, ValueError):  # removed at this moment, or damaged
        return False


def _is_old(name: str, args: argparse.Namespace, now: float) -> bool:
    try:
        with store.open_image(name, note=False) as image:
            if image is None:
                return False
            pulled = datetime.datetime.fromisoformat(image.pulled).timestamp()
            return _is_of_age(pulled, store.last_used(image), args, now)
    except (ImageError, ValueError):  # a damaged one: `pull` mends it
        return False


def _is_of_age(made: float, used: float, args: argparse.Namespace, now: float) -> bool:
    ages = ((args.older_than, made), (args.unused_for, used))
    asked = [(days, then) for days, then in ages if days is not None]
    return bool(asked) and all(now - then >= days * 86400 for days, then in asked)


def _import(args: argparse.Namespace) -> int:
    from postroj.image import source
    from postroj.image.names import is_name
    from postroj.image.provide import pull_from_sources

    if not is_name(args.name):
        raise UsageError(
            f"'{args.name[:100]}' cannot be the name of an image", hint="lower-case letters, digits, dots, hyphens"
        )
    if boxes.find(args.name) or any(entry.is_called(args.name) for entry in catalogue.entries()):
        raise UsageError(
            f"{args.name} is an image of the catalogue", hint="choose another name, or make it an entry of images.toml"
        )
    if args.source == "-":
        raise UsageError("standard input is not read for an image", hint="write it to a file, and name that")
    origin = source.parse(args.source if source.is_reference(args.source) else os.path.join(".", args.source))
    images.check_there(origin)
    sweep()
    started = time.monotonic()
    with live(args.show):
        image = pull_from_sources(args.name, [origin], verb="imported")
    print(image_summary(image, f"imported in {time.monotonic() - started:.1f} s"))
    return 0


def _export(args: argparse.Namespace) -> int:
    from postroj.image.export import export

    if args.file == "-":
        raise UsageError("an image is not written to standard output", hint="name a file, such as IMAGE.tar.zst")
    name = _name(args.name)
    with live(args.show), store.open_existing(name) as image:
        export(image, os.path.abspath(args.file))
    print(f"{name}: {os.path.getsize(args.file) / 1e6:.0f} MB in {args.file}")
    return 0


def _here(texts: Sequence[str], *, also: Collection[str] = ()) -> list[str]:
    """Return the names of images. Raises ImageError unless all of them are here, or among `also`."""
    names, there = [_name(text) for text in texts], {*store.list_names(), *also}
    for name in names:
        if name not in there:
            raise store.missing_error(name)
    return names


def _name(text: str) -> str:
    return text if text in store.list_names() else images.resolve(text).name


def _days(text: str) -> int:
    match = _DAYS.fullmatch(text)
    if not match:
        raise out_of_range(text, "a number of days", "0d", "99999d")
    return int(match[1])
