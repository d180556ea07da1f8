"""Images: from a curated name to a root directory that a machine can be started from."""

from collections.abc import Iterator
from contextlib import contextmanager

from postroj.errors import ImageError
from postroj.events import Step, emit
from postroj.image import store
from postroj.image.store import Image

_OLDEST_SYSTEMD = 240  # Type=exec

__all__ = ["Image", "check_name", "pull", "sweep", "used"]

sweep = store.sweep


def check_name(name: str) -> None:
    """Raise UsageError unless there is an image of this name or alias, here or in the catalogue."""
    from postroj.image import catalogue

    if name not in store.list_names():
        catalogue.resolve(name)


@contextmanager
def used(name: str) -> Iterator[Image]:
    """The image of this name or alias, pulled where it is not here yet, kept from removal inside the block.

    Raises UsageError for an unknown name, ImageError, and what pulling raises.
    """
    # A pulled image is found by its name alone: the catalogue is not even read on the way to a boot.
    try:
        with store.used(name) as image:
            if image:
                yield _fit(image)
                return
        with store.just_pulled(_provided(name)) as image:
            yield _fit(image)
    finally:
        store.sweep()


def _fit(image: Image) -> Image:
    if int(image.systemd) < _OLDEST_SYSTEMD:
        raise ImageError(
            f"{image.name} has systemd {image.systemd}; commands in a guest need {_OLDEST_SYSTEMD} or newer"
        )
    return image


def _provided(name: str) -> str:
    """The name of the image with this name or alias, which is pulled where it is not here."""
    from postroj.image import catalogue

    entry = catalogue.resolve(name)
    with store.used(entry.name) as image:
        if image:
            return entry.name
    pull(entry.name)
    return entry.name


def pull(name: str, *, update: bool = False) -> tuple[Image, bool]:
    """Bring an image here; one that is here and sound is left as it is unless `update`.

    Returns it, and whether it was fetched.

    An interrupted or failed pull leaves the image as it was. Raises UsageError for an unknown name, MissingToolError,
    ToolError, ImageError.
    """
    from postroj.image import catalogue
    from postroj.image.provide import provide

    entry = catalogue.resolve(name)
    if not update:
        try:
            with store.used(entry.name) as image:
                if image:
                    return image, False
        except ImageError as error:
            emit(Step(entry.name, f"is damaged ({error.why})"))
    return provide(entry), True
