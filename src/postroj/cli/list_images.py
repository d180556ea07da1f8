"""`postroj list-images`: what there is, and what is here."""

import argparse
import json
import sys
from typing import Any

from postroj.errors import ImageError
from postroj.image import catalogue, store

_HEADER = ("NAME", "ALIAS", "FAMILY", "PULLED", "SIZE")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--format", choices=("table", "plain", "json"), help="table on a terminal, plain (tabs) when piped"
    )


def handle(args: argparse.Namespace) -> int:
    """Print them."""
    images = [_image(entry) for entry in catalogue.entries()]
    chosen = args.format or ("table" if sys.stdout.isatty() else "plain")
    if chosen == "json":
        print(json.dumps(images, indent=2))
        return 0
    rows = [
        (i["name"], i["alias"], i["family"], i["status"], f"{i['size'] / 1e6:.0f} MB" if i["size"] else "-")
        for i in images
    ]
    if chosen == "plain":
        for row in rows:
            print("\t".join(map(str, row)))
        return 0
    widths = [max(len(str(row[column])) for row in [_HEADER, *rows]) for column in range(len(_HEADER))]
    for row in [_HEADER, *rows]:
        print("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _image(entry: catalogue.Entry) -> dict[str, Any]:
    status, pulled, size = "no", None, None
    try:
        with store.used(entry.name) as image:
            if image:
                status, pulled, size = image.pulled[:10], image.pulled, image.size
    except ImageError:
        status = "damaged"
    except PermissionError:
        status = "yes"  # and only root can know more
    return {
        "name": entry.name,
        "alias": entry.alias,
        "family": entry.family,
        "source": entry.source,
        "status": status,
        "pulled": pulled,
        "size": size,
    }
