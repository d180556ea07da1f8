"""Whether packages that are files need more than an image has, as far as can be told without its package manager."""

import mmap
import re
from collections.abc import Sequence

from postroj.container.guest.imagefiles import Tree
from postroj.errors import UsageError
from postroj.package import arch, deb, rpm
from postroj.package.reference import Package

_STATUS = "/var/lib/dpkg/status"
_DATABASES = tuple(
    f"/{place}/{name}"
    for place in ("usr/lib/sysimage/rpm", "var/lib/rpm")
    for name in ("rpmdb.sqlite", "Packages.db", "Packages")
)
_OF_RPM = ("rpmlib(", "config(", "rtld(")
_LOCAL = "/var/lib/pacman/local"
_WITHOUT_VERSION = re.compile(r"[<>=].*")
_FIELDS = ("Pre-Depends", "Depends", "Recommends")
_NAME = re.compile(r"\s*([a-z0-9][a-z0-9+.-]*)")
_PARAGRAPH = re.compile(r"^(Package|Status|Provides): (.*)$", re.MULTILINE)


def may_need_more(packages: Sequence[Package], root: str) -> bool:
    """Return False if all are files of one format, and what they need or recommend is in the image, in any version."""
    formats = {package.format if package.file else "" for package in packages}
    looks = {"deb": _debs_need_more, "rpm": _rpms_need_more, "arch": _archs_need_more}
    look = looks.get(next(iter(formats), ""))
    if len(formats) != 1 or not look:
        return True
    try:
        with Tree(root) as tree:
            return look(packages, tree)
    except (UsageError, OSError, ValueError):
        return True


def _debs_need_more(packages: Sequence[Package], tree: Tree) -> bool:
    controls = [deb.read_control(package.file) for package in packages]
    there = _installed(tree.text(_STATUS)) | {package.name for package in packages}
    relations = [control.get(field, "") for control in controls for field in _FIELDS]
    wanted = [relation for text in relations for relation in text.split(",") if relation.strip()]
    return not all(there.intersection(_names(relation.split("|"))) for relation in wanted)


def _rpms_need_more(packages: Sequence[Package], tree: Tree) -> bool:
    """Look for the words in the image's database, which has those of all packages with a NUL at both sides.

    What a package needs is among them, so that a word may be found of which nothing is there: then the guest finds out.
    """
    own = {package.name for package in packages}
    words = {word for package in packages for word in rpm.read_needs(package.file) if not word.startswith(_OF_RPM)}
    wanted = {word for word in words - own if not (word.startswith("/") and tree.mode(word) is not None)}
    for place in _DATABASES:
        if wanted and (fd := tree.open(place)) >= 0:
            with open(fd, "rb"), mmap.mmap(fd, 0, prot=mmap.PROT_READ) as text:
                wanted = {word for word in wanted if text.find(f"\0{word}\0".encode()) < 0}
    return bool(wanted)


def _archs_need_more(packages: Sequence[Package], tree: Tree) -> bool:
    there = {package.name for package in packages}
    wanted = {word for package in packages for word in arch.read_needs(package.file)}
    names = tree.names(_LOCAL)
    there |= {name.rsplit("-", 2)[0] for name in names}
    for name in names if not wanted <= there else ():
        fields = tree.text(f"{_LOCAL}/{name}/desc").split("\n\n")
        provided = next((field for field in fields if field.startswith("%PROVIDES%\n")), "").split("\n")[1:]
        there |= {_WITHOUT_VERSION.sub("", word) for word in provided}
    return not wanted <= there


def _installed(status: str) -> set[str]:
    found: set[str] = set()
    for paragraph in status.split("\n\n"):
        fields = dict(_PARAGRAPH.findall(paragraph))
        if fields.get("Status", "").endswith(" installed"):
            found.update(_names([fields.get("Package", ""), *fields.get("Provides", "").split(",")]))
    return found


def _names(texts: Sequence[str]) -> set[str]:
    return {match[1] for match in map(_NAME.match, texts) if match}
