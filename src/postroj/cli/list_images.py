"""`postroj list-images`: what there is, and what is here."""

import argparse
import datetime
from typing import Any

from postroj import family
from postroj.cli import table
from postroj.errors import ImageError, UsageError
from postroj.image import box, boxes, catalogue, store, vmimage
from postroj.vm.box import LINUX, SSH

_NOTHING = {"reference": None, "digest": None, "pulled": None, "systemd": None, "size": None}
"""The facts of an image that is not here."""
_HEADER = ("NAME", "ALIAS", "FAMILY", "END OF LIFE", "PULLED", "SYSTEMD", "SIZE", "KIND")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = "With --quiet, names only, one a line."
    table.add_format(parser)
    parser.add_argument("--family", metavar="FAMILY", help=f"only images of this family: {', '.join(family.NAMES)}")
    parser.add_argument("--pulled", action="store_true", help="only downloaded images")
    support = parser.add_mutually_exclusive_group()
    support.add_argument("--end-of-life", action="store_true", help="only releases past their end of life")
    support.add_argument("--supported", action="store_true", help="only releases that are supported")


def handle(args: argparse.Namespace) -> int:
    """Print them."""
    if args.family and args.family not in family.NAMES:
        raise UsageError(f"there is no family {args.family[:80]!r}", hint=f"there is {', '.join(family.NAMES)}")
    images = [image for image in _all() if _is_chosen(image, args)]
    if args.quiet and not args.format:
        for image in images:
            print(image["name"])
        return 0
    table.show(args.format, _HEADER, [_row(image) for image in images], images)
    return 0


def _row(image: dict[str, Any]) -> tuple[str, ...]:
    size = f"{image['size'] / 1e6:.0f} MB" if image["size"] else "-"
    return (
        *(image[key] or "-" for key in ("name", "alias", "family", "end_of_life", "status", "systemd")),
        size,
        ", ".join(image["kinds"]),
    )


def _is_chosen(image: dict[str, Any], args: argparse.Namespace) -> bool:
    ended = bool(image["end_of_life"]) and image["end_of_life"] < datetime.date.today().isoformat()
    return (
        (not args.family or image["family"] == args.family)
        and (not args.pulled or image["status"] != "no")
        and (not args.end_of_life or ended)
        and (not args.supported or not ended)
    )


def _all() -> list[dict[str, Any]]:
    """Return the images of the catalogue, then those that were imported, or pulled by a reference."""
    entries = catalogue.entries()
    curated = {entry.name for entry in entries}
    others = [name for name in store.list_names() if name not in curated]
    found = [
        {
            "name": entry.name,
            "alias": entry.alias,
            "family": entry.family,
            "end_of_life": entry.eol.isoformat() if entry.eol else None,
            "architectures": list(entry.architectures),
            "sources": list(map(str, entry.sources)),
            **_pulled(entry.name),
            **_kinds(boxes.find(entry.name), container=True, is_made_here=box.is_possible(entry.name)),
        }
        for entry in entries
    ]
    found += [_of_vm(entry) for entry in boxes.entries() if entry.name not in curated]
    for name in others:
        pulled = _pulled(name)
        found.append(
            {
                "name": name,
                "alias": None,
                "family": pulled.pop("found_family", None),
                "end_of_life": None,
                "architectures": [],
                "sources": [pulled["reference"]] if pulled["reference"] else [],
                **pulled,
                **_kinds(None, container=True),
            }
        )
    return [{key: value for key, value in image.items() if key != "found_family"} for image in found]


def _of_vm(entry: boxes.Entry) -> dict[str, Any]:
    """Return an image that is only there for virtual machines."""
    return {
        "name": entry.name,
        "alias": entry.alias,
        "family": None,
        "end_of_life": entry.eol.isoformat() if entry.eol else None,
        "architectures": list(entry.architectures),
        "sources": [f"{boxes.SCHEME}{box.name}" for box in entry.boxes],
        "status": "no",
        **_NOTHING,
        **_kinds(entry, container=False),
    }


def _kinds(entry: boxes.Entry | None, *, container: bool, is_made_here: bool = False) -> dict[str, Any]:
    """Return what can be made from an image, and the facts of its boxes: there are none if its box is made here."""
    kinds = [*(["container"] if container else []), *(["vm"] if entry or is_made_here else [])]
    if not entry and is_made_here:
        facts = {"guest": LINUX, "communicator": SSH, "memory": vmimage.MEMORY, "cores": vmimage.CORES}
        return {"kinds": kinds, "vm": {**facts, "boxes": []}}
    if not entry:
        return {"kinds": kinds, "vm": None}
    of_boxes = [one._asdict() for one in entry.boxes]
    facts = {key: getattr(entry, key) for key in ("guest", "communicator", "memory", "cores")}
    return {"kinds": kinds, "vm": {**facts, "boxes": of_boxes}}


def _pulled(name: str) -> dict[str, Any]:
    """Return the facts of an image that is here."""
    try:
        with store.open_image(name, note=False) as image:
            if image:
                fields = image._asdict()
                known = {key: fields[key] for key in _NOTHING}
                return {"status": image.pulled[:10], **known, "found_family": image.family}
    except ImageError:
        return {"status": "damaged", **_NOTHING}
    except PermissionError:  # only root can know more
        return {"status": "yes", **_NOTHING}
    return {"status": "no", **_NOTHING}
