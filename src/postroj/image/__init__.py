"""Images: from a name or a reference to a root directory that a machine can be started from."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from postroj.errors import ImageError, UsageError
from postroj.events import Step, emit
from postroj.image import boxstore, store
from postroj.image.store import Image

if TYPE_CHECKING:
    from postroj.image.source import Source
    from postroj.image.vmimage import VmImage

OLDEST_SYSTEMD = 239
"""Type=exec, in which commands are run in a guest: systemd 240, and the 239 of RHEL 8 (since 239-16, bug 1683334)."""

__all__ = [
    "Image", "ImageRequest", "check_boots", "check_name", "expected_families", "find_vm", "open_image", "pull",
    "pull_locked", "resolve", "sweep",
]  # fmt: skip

_UNSAFE = re.compile(r"[^a-z0-9.]+")


class ImageRequest:
    """What somebody has asked for: a name, and the sources that it can be had from."""

    def __init__(self, name: str, sources: "Sequence[Source]") -> None:
        self.name = name
        self.sources = sources

    @property
    def stamp(self) -> str:
        """What a local source looks like now; empty where there is none."""
        return self.sources[0].stamp() if len(self.sources) == 1 else ""

    def check_there(self) -> None:
        """Raise UsageError for a local source that is not there."""
        check_there(self.sources[0])


def check_there(source: "Source") -> None:
    """Raise UsageError for a local source that is not there, or is neither a file nor a directory."""
    if source.path and not os.path.exists(source.path):
        raise UsageError(f"there is no file or directory {source.path}")
    if source.path and not (os.path.isfile(source.path) or os.path.isdir(source.path)):
        raise UsageError(f"{source.path} is neither a file nor a directory", hint="an image is made from one of them")


def resolve(text: str, *, platform: str = "", kind: str = "") -> ImageRequest:
    """Return the sources of a name, an alias, NAME@sha256:…, a reference, or a short one such as debian:12.

    With `kind`, only sources of that kind count; with `platform`, what registries have for it. Raises UsageError.
    """
    from postroj.image import shortname, source

    if not source.is_reference(text):
        text = shortname.expand(text) or text
    if source.is_reference(text):
        sources: tuple[Source, ...] = (source.parse(text),)
        name = _name_of(text, sources[0])
    else:
        plain, at, digest = text.partition("@")
        if at and not source.is_digest(digest):
            raise UsageError(f"'{digest[:100]}' is not a digest", hint="write NAME@sha256: and 64 hexadecimal digits")
        name, sources = _imported(plain) or _curated(plain)
        if digest:
            sources = tuple(one._replace(digest=digest) for one in sources if one.kind in (source.OCI, source.TARBALL))
            if not sources:
                raise UsageError(
                    f"{name} is built from a moving archive: an earlier digest cannot be rebuilt", hint=_KEEP
                )
    if kind:
        sources = tuple(one for one in sources if one.kind == kind)
        if not sources:
            raise UsageError(f"{name} has no source of the kind {kind}", hint="see `postroj list-images --format=json`")
    if platform:
        sources = tuple(
            one._replace(platform=source.parse_platform(platform)) for one in sources if one.kind == source.OCI
        )
        if not sources:
            raise UsageError(f"--platform is for images from registries, which {name} is not")
    return ImageRequest(name, sources)


def _curated(name: str) -> "tuple[str, tuple[Source, ...]]":
    from postroj.image import boxes, catalogue

    try:
        entry = catalogue.resolve(name)
    except UsageError as error:
        if boxes.find(name):
            raise boxes.needs_vm(name) from error
        if os.path.exists(name):
            raise UsageError(error.what, hint=f"for the file or directory of this name, write ./{name}") from error
        raise
    return entry.name, entry.sources


def _imported(name: str) -> "tuple[str, tuple[Source, ...]] | None":
    """An image that is here, and not in the catalogue, with where it came from."""
    from postroj.image import catalogue, source

    if name not in store.list_names() or name in {entry.name for entry in catalogue.entries()}:
        return None
    with store.open_existing(name) as image:
        return name, (source.parse(image.reference),)


_KEEP = "keep a copy of it: `postroj image export`"


def _name_of(reference: str, source: "Source") -> str:
    """The name of the image with this reference: its last part, for people, and a hash, for there may be others."""
    import hashlib

    last = re.sub(r"\.(tar|tgz|txz|tbz2).*$", "", str(source).rstrip("/").rpartition("/")[2].partition("#")[0].lower())
    readable = _UNSAFE.sub("-", last).strip("-.")[:30].strip("-.") or "image"
    return f"{readable}-{hashlib.sha256(str(source._replace(digest='')).encode()).hexdigest()[:8]}"


def find_vm(text: str, *, vm: bool = False, provider: str = "") -> "VmImage | None":
    """Return the image of a virtual machine that a text means; None if it means one of a container: see vmimage."""
    if not (vm or provider) and text in store.list_names():
        return None  # on the way to a boot nothing more is imported
    from postroj.image import vmimage

    return vmimage.find(text, vm=vm, provider=provider)


def check_name(text: str) -> None:
    """Raise UsageError unless this is an image that is here, or one of the catalogue, or a reference."""
    if text not in store.list_names():
        resolve(text).check_there()


def expected_families(text: str) -> list[str]:
    """Return the families that an image may have which is not here, by the catalogue; empty if that does not tell.

    That is so for the catalogue's own images, and for docker's of the same distributions, such as fedora:43. A
    directory of this host is looked into.
    """
    from postroj import family
    from postroj.image import catalogue, shortname, source

    if text in store.list_names():
        return []
    if source.is_reference(text):
        one = source.parse(text)
        if one.kind == source.BOOTSTRAP:
            return ["apt"]
        if one.kind == source.DIRECTORY:
            found = family.detect(one.location)
            return [found] if found else []
    plain = text.partition("@")[0]
    own = {entry.family for entry in catalogue.entries() if plain in (entry.name, entry.alias)}
    return sorted(own or shortname.families(text))


@contextmanager
def open_image(text: str, *, offline: bool = False) -> Iterator[Image]:
    """The image of this name, alias or reference, pulled where it is not here yet, kept from removal inside the block.

    Raises UsageError for an unknown name, ImageError, and what pulling raises.
    """
    # A pulled image is found by its name alone: the catalogue is not even read on the way to a boot.
    try:
        with store.open_image(text) as image:
            if image:
                yield image
                return
        with store.open_pulled(_provided(text, offline)) as image:
            yield image
    finally:
        store.sweep()
        boxstore.sweep()


def check_boots(image: Image) -> None:
    """Raise ImageError, before anything boots, for an image whose systemd is not there, or too old."""
    hint = "`postroj run --no-boot` works on it"
    if not image.boots:
        raise ImageError(f"{image.name} has no systemd, and cannot be booted", hint=hint)
    if int(image.systemd) < OLDEST_SYSTEMD:
        what = f"{image.name} has systemd {image.systemd}; commands in a guest need {OLDEST_SYSTEMD} or newer"
        raise ImageError(what, hint=hint)


def _provided(text: str, offline: bool) -> str:
    """The name of the image that this stands for, which is pulled where it is not here, or has changed."""
    return pull(text, offline=offline)[0].name


def pull_locked(name: str, reference: str, digest: str, platform: str, *, offline: bool = False) -> tuple[Image, bool]:
    """Bring an image with a certain digest here, as `pull` does. Raises ImageError where it cannot be had any more."""
    from postroj.image import source
    from postroj.image.provide import pull_from_sources

    with suppress(ImageError), store.open_image(name) as image:
        if image and (image.digest, image.platform) == (digest, platform):
            return image, False
    one = source.parse(reference)._replace(digest=digest, platform=platform)
    return pull_from_sources(name, [one], offline=offline), True


def pull(
    text: str, *, update: bool = False, offline: bool = False, platform: str = "", kind: str = ""
) -> tuple[Image, bool]:
    """Bring an image here; one that is here and sound is left as it is, unless `update` or its local source has
    changed.

    Returns it, and whether it was fetched. An interrupted or failed pull leaves the image as it was. Raises UsageError
    for an unknown name, and ImageError.
    """
    from postroj.image.provide import pull_from_sources

    want = resolve(text, platform=platform, kind=kind)
    want.check_there()
    if not update and not platform:
        try:
            with store.open_image(want.name) as image:
                if image and _is_wanted(image, want, kind):
                    return image, False
        except ImageError as error:
            emit(Step(want.name, f"is damaged ({error.why})"))
    return pull_from_sources(want.name, want.sources, offline=offline), True


def _is_wanted(image: Image, want: ImageRequest, kind: str) -> bool:
    digest = want.sources[0].digest
    if kind and image.reference not in [one.reference for one in want.sources]:
        return False
    return (not digest or image.digest == digest) and (not want.stamp or image.stamp == want.stamp)


def sweep() -> list[str]:
    """Remove what killed pulls have left, and downloads that nobody goes on with; says which."""
    from postroj.image import downloads

    trees = [f"image tree {name}" for name in store.sweep()]
    return [*trees, *(f"unfinished box {name}" for name in boxstore.sweep()), *downloads.sweep()]
