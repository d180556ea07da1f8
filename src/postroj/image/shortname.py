"""Image references as docker and podman take them, without a transport: debian:bookworm-slim, quay.io/team/app:1."""

import os
import re

from postroj.image import catalogue, store

_HUB = "docker://docker.io/library/"
# The grammar of github.com/distribution/reference: lower-case path components, a tag, a digest.
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_HOST = r"(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)(?::[0-9]{1,5})?|[A-Za-z0-9-]+:[0-9]{1,5}"
_REFERENCE = re.compile(
    rf"(?:(?P<host>{_HOST})/)?(?P<path>{_PART}(?:/{_PART})*)(?P<tag>:[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(?P<digest>@.+)?"
)
_SCHEMES = ("docker", "oci", "oci-archive", "docker-archive", "http", "https", "ftp", "file", "bootstrap")
_FILES = (".tar", ".gz", ".tgz", ".xz", ".zst", ".bz2")


def expand(text: str) -> str:
    """Return the reference with transport and registry that a short one stands for; empty if it is none.

    Docker's defaults: docker.io, there `library`, the tag `latest`. A name without registry, tag and digest is one
    only if the catalogue has images of this name from docker.io, as of `ubuntu`: it may as well be a mistyped name.
    """
    match = _REFERENCE.fullmatch(text)
    if not match or os.path.exists(text):
        return ""
    host, path, tag, digest = (match[group] or "" for group in ("host", "path", "tag", "digest"))
    if not host:
        names = {*_SCHEMES, *store.list_names(), *(name for e in catalogue.entries() for name in (e.name, e.alias))}
        if path in names or path.endswith(_FILES):
            return ""
        if not (tag or digest or _is_of_the_hub(path)):
            return ""
    prefix = f"docker://{host}/" if host else _HUB if "/" not in path else "docker://docker.io/"
    return f"{prefix}{path}{tag}{digest}" if tag or digest else f"{prefix}{path}:latest"


def families(text: str) -> set[str]:
    """Return the families of the catalogue's images of a distribution that a short reference names: fedora:43."""
    full = expand(text) or text
    known = [(entry, [str(one) for one in entry.sources]) for entry in catalogue.entries()]
    if exact := {entry.family for entry, sources in known if full in sources}:
        return exact
    name = re.split("[:@]", full.removeprefix(_HUB))[0] if full.startswith(_HUB) else ""
    if not name or "/" in name:
        return set()
    of_hub = {entry.family for entry, sources in known if any(one.startswith(f"{_HUB}{name}:") for one in sources)}
    return of_hub or {entry.family for entry, _ in known if entry.name.startswith(f"{name}-")}


def _is_of_the_hub(name: str) -> bool:
    return any(str(one).startswith(f"{_HUB}{name}:") for entry in catalogue.entries() for one in entry.sources)
