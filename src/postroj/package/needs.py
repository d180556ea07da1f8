"""Whether packages that are files need more than an image has, as far as can be told without its package manager."""

import re
from collections.abc import Sequence

from postroj.container.guest.imagefiles import Tree
from postroj.errors import UsageError
from postroj.package import deb
from postroj.package.reference import Package

_STATUS = "/var/lib/dpkg/status"
_FIELDS = ("Pre-Depends", "Depends", "Recommends")
_NAME = re.compile(r"\s*([a-z0-9][a-z0-9+.-]*)")
_PARAGRAPH = re.compile(r"^(Package|Status|Provides): (.*)$", re.MULTILINE)


def may_need_more(packages: Sequence[Package], root: str) -> bool:
    """Return False if all are .deb files, and what they need or recommend is in the image, in whatever version."""
    if not all(package.file and package.format == "deb" for package in packages):
        return True
    try:
        controls = [deb.read_control(package.file) for package in packages]
    except (UsageError, OSError):
        return True
    with Tree(root) as tree:
        there = _installed(tree.text(_STATUS)) | {package.name for package in packages}
    relations = [control.get(field, "") for control in controls for field in _FIELDS]
    wanted = [relation for text in relations for relation in text.split(",") if relation.strip()]
    return not all(there.intersection(_names(relation.split("|"))) for relation in wanted)


def _installed(status: str) -> set[str]:
    found: set[str] = set()
    for paragraph in status.split("\n\n"):
        fields = dict(_PARAGRAPH.findall(paragraph))
        if fields.get("Status", "").endswith(" installed"):
            found.update(_names([fields.get("Package", ""), *fields.get("Provides", "").split(",")]))
    return found


def _names(texts: Sequence[str]) -> set[str]:
    return {match[1] for match in map(_NAME.match, texts) if match}
