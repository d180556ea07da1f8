"""postroj.lock: which images a test run was made with, by digest, so that another one can be made with the same.

[[image]]
name = "debian-buster"
reference = "docker://docker.io/debian/eol:buster"
digest = "sha256:…"
platform = "arm64"       where one was asked for
"""

import os
import re
import tomllib
from collections.abc import Iterable
from contextlib import nullcontext
from typing import NamedTuple

from postroj import locks
from postroj.errors import UsageError
from postroj.image import source
from postroj.image.names import is_name
from postroj.image.store import Image
from postroj.replacing import replacing

NAME = "postroj.lock"
_KEYS = ("name", "reference", "digest")
_PLAIN = re.compile(r"[^\"\\\x00-\x1f\x7f\ud800-\udfff]{1,1000}")  # what needs no escapes in TOML, and is text


class Locked(NamedTuple):
    """One image of a lock file."""

    name: str
    reference: str
    digest: str
    platform: str = ""


def read(path: str) -> list[Locked]:
    """The images that it names. Raises UsageError, with the file's name and what is wrong."""
    try:
        with open(path, "rb") as file:
            table = tomllib.load(file)
    except FileNotFoundError as error:
        raise UsageError(f"there is no {path}", hint="make it: postroj pull --lock IMAGE…") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    images = table.get("image", [])
    if set(table) - {"image"} or not isinstance(images, list):
        raise UsageError(f"{path}: only [[image]] tables belong here")
    return [_locked(path, number, image) for number, image in enumerate(images, 1)]


def write(path: str, images: Iterable[Image]) -> None:
    """Write these images into it; what else it names stays. Raises UsageError, OSError."""
    with locks.lock_directory(os.path.dirname(os.path.abspath(path)), create=True) or nullcontext():
        _write(path, images)


def _write(path: str, images: Iterable[Image]) -> None:
    locked = {one.name: one for one in read(path)} if os.path.exists(path) else {}
    locked |= {image.name: Locked(image.name, image.reference, image.digest, image.platform) for image in images}
    for one in locked.values():
        if not _PLAIN.fullmatch(one.reference):
            raise UsageError(f"the reference of {one.name} cannot be written into {path}")
    lines = ["# Made by `postroj pull --lock`; used by `postroj pull --locked`."]
    for one in sorted(locked.values()):
        lines += ["", "[[image]]", *(f'{key} = "{value}"' for key, value in one._asdict().items() if value)]
    with replacing(os.path.abspath(path)) as fd, open(fd, "w", encoding="utf-8", closefd=False) as file:
        file.write("\n".join(lines) + "\n")


def _locked(path: str, number: int, image: object) -> Locked:
    if (
        not isinstance(image, dict)
        or set(image) - {"platform"} != set(_KEYS)
        or not all(isinstance(text, str) for text in image.values())
    ):
        raise UsageError(f"{path}: image {number} does not have {', '.join(_KEYS)}, and these alone")
    if not source.is_digest(image["digest"]):
        raise UsageError(f"{path}: image {number} has an invalid digest: '{image['digest'][:100]}'")
    if not is_name(image["name"]):
        raise UsageError(f"{path}: image {number} has an invalid name: '{image['name'][:100]}'")
    try:
        source.parse(image["reference"])
        platform = image.get("platform", "")
        platform = platform and source.parse_platform(platform)
    except UsageError as error:
        raise UsageError(f"{path}: image {number}: {error.what}", hint=error.hint) from error
    return Locked(**{**image, "platform": platform})
