"""Image references as docker and podman take them, without a transport: debian:bookworm-slim, quay.io/team/app:1."""

import os
import re

from postroj.image import catalogue, store

_REGISTRY = "docker://"
_HUB = f"{_REGISTRY}docker.io/library/"
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
    """Return the families of the catalogue's images of a distribution that a reference names: fedora:43.

    With and without `docker://`, and of whatever registry the catalogue has it from.
    """
    full = _full(expand(text) or text)
    known = [(entry, [str(one) for one in entry.sources]) for entry in catalogue.entries()]
    if exact := {entry.family for entry, sources in known if full in sources}:
        return exact
    repository = _repository(full)
    if same := {entry.family for entry, sources in known if repository in map(_repository, sources)}:
        return same
    name = repository.removeprefix(_HUB)
    return {entry.family for entry, _ in known if entry.name.startswith(f"{name}-")} if name != repository else set()


def _full(text: str) -> str:
    """Return a reference as skopeo completes it: docker://fedora:43 is docker://docker.io/library/fedora:43."""
    match = _REFERENCE.fullmatch(text.removeprefix(_REGISTRY)) if text.startswith(_REGISTRY) else None
    if not match or match["host"] not in (None, "docker.io"):
        return text
    hub = f"{_REGISTRY}docker.io/" if "/" in match["path"] else _HUB
    return hub + "".join(match[group] or "" for group in ("path", "tag", "digest"))


def _repository(reference: str) -> str:
    """Return a reference without its tag and its digest."""
    start, slash, last = reference.partition("@")[0].rpartition("/")
    return f"{start}{slash}{last.partition(':')[0]}"


def _is_of_the_hub(name: str) -> bool:
    return any(str(one).startswith(f"{_HUB}{name}:") for entry in catalogue.entries() for one in entry.sources)
