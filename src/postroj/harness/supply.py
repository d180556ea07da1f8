"""What a probe takes from the package cache."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from postroj.cache import Wanted, given
from postroj.container import Bind
from postroj.family.repository import Addition
from postroj.harness.request import Request
from postroj.package import needs, repository

if TYPE_CHECKING:
    from postroj.family import Family
    from postroj.image.store import Image
    from postroj.package.reference import Package
    from postroj.package.repository import Repositories

__all__ = ["OF_IMAGE", "given", "wanted"]

OF_IMAGE = ("var/cache/apt/pkgcache.bin",)
"""What the cache has that is right for the packages of the image only: a machine with others would make it anew."""


def wanted(
    request: Request,
    image: "Image",
    family: "Family",
    groups: "Sequence[Sequence[Package]]",
    binds: Sequence[Bind],
    repositories: "Repositories | None",
) -> Wanted:
    """Return what is wanted for a machine that installs groups of packages; they are numbered through."""
    words: list[list[str]] = []
    names: dict[str, str] = {}
    number = 0
    for group in groups:
        found = [one.guest_name(n) if one.file else family.spec(one.reference) for n, one in enumerate(group, number)]
        words.append(found)
        names |= dict(zip(found, (one.name for one in group), strict=True))
        number += len(group)
    return Wanted(
        image.name,
        image.root,
        f"{image.digest} {image.platform}",
        family,
        words if needs.may_need_more([one for group in groups for one in group], image.root) else [],
        binds,
        names,
        repository.addition(family, repositories) if repositories else Addition({}),
        request.options,
        request.cache_size,
    )
