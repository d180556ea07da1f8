"""From sources to an activated image."""

import errno
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from types import ModuleType

from postroj.cache import shelf
from postroj.errors import DownloadError, HostError, ImageError, MissingToolError, PostrojError, ToolError
from postroj.events import Step, emit
from postroj.image import bootstrap, directory, downloads, oci, store, tarball
from postroj.image.provision import check_offline, provision
from postroj.image.source import BOOTSTRAP, DIRECTORY, OCI, TARBALL, Source
from postroj.image.store import Image
from postroj.settings import images_dir

_FULL = 16 * 1024 * 1024
_MODULES: dict[str, ModuleType] = {BOOTSTRAP: bootstrap, OCI: oci, TARBALL: tarball, DIRECTORY: directory}
"""Each has `find(source, subject)`, and `fetch(source, digest, tree, subject)`; both return the digest."""


def pull_from_sources(name: str, sources: Sequence[Source], *, offline: bool = False, verb: str = "pulled") -> Image:
    """Bring an image from the first of its sources that can be had; `verb` is what an error calls that.

    If another process pulls the same source meanwhile, its result is used. Raises ImageError; the image that
    was here before is left as it was then.
    """
    with store.pulling(name) as replaced:
        if not (replaced and _is_one_of(name, sources)):
            _from_any(name, sources, offline, verb)
        downloads.sweep()
        with store.open_pulled(name) as image:
            return image


def _is_one_of(name: str, sources: Sequence[Source]) -> bool:
    """Whether what somebody else has pulled meanwhile is what we want: it may be another digest, or an import."""
    with suppress(ImageError), store.open_image(name, note=False) as image:
        return image is not None and any(
            (image.reference, image.stamp, image.platform) == (one.reference, one.stamp(), one.platform)
            and one.digest in ("", image.digest)
            for one in sources
        )
    return False


def _from_any(name: str, sources: Sequence[Source], offline: bool, verb: str) -> None:
    errors: list[PostrojError] = []
    for source in sources:
        try:
            _from(name, source, offline)
        except (PostrojError, OSError) as problem:
            errors.append(explained(problem))
            if _is_full(problem) or _is_of_the_host(problem) or source is sources[-1]:
                raise _summed_up(
                    name, errors, verb if source.is_remote or source.kind == OCI else "imported"
                ) from problem
            emit(Step(name, f"{errors[-1].what}; trying the next source"))
        else:
            return


def _from(name: str, source: Source, offline: bool) -> None:
    module = _MODULES[source.kind]
    pull = _pull_of(source)
    if _is_here(name, source, source.digest, pull):
        return
    if offline and source.is_remote:
        raise ImageError(f"{source} is not downloaded, and --offline forbids it", hint="run once without --offline")
    digest: str = module.find(source, name)
    if _is_here(name, source, digest, pull):
        return
    with store.new_tree(name) as tree:
        digest = module.fetch(source, digest, tree, name)
        # Its digest was told before it was unpacked; that of a directory is of the copy.
        if source.kind != DIRECTORY and source.stamp() != pull["stamp"]:
            raise ImageError(f"{source} has changed while it was read", hint="run it again once it is complete")
        if _is_here(name, source, digest, pull):
            return
        root = os.path.join(tree, "root")
        if offline:
            check_offline(root)
        facts = provision(name, root)
        emit(Step(name, "activating the image"))
        store.activate(name, tree, {**pull, "digest": digest, **facts._asdict()})


def _pull_of(source: Source) -> dict[str, str]:
    """Return the pull record: reference, stamp, time, platform."""
    pulled = datetime.now(UTC).isoformat(timespec="seconds")
    return {"reference": source.reference, "stamp": source.stamp(), "pulled": pulled, "platform": source.platform}


def _is_here(name: str, source: Source, digest: str, pull: Mapping[str, str]) -> bool:
    """Whether the tree with this digest is here, and has become the image. Raises ImageError for a wrong one."""
    if digest and source.digest not in ("", digest):
        raise ImageError(f"digest mismatch: {source}", why=f"expected {source.digest}\ngot      {digest}")
    return bool(digest) and store.link_digest(name, digest, pull)


def explained(problem: PostrojError | OSError) -> PostrojError:
    """Return what has kept an image from being made as an error in one sentence; a full disk is recognised."""
    if _is_full(problem):
        why = getattr(problem, "why", "")
        with suppress(OSError):
            shelf.sweep(0)  # packages that are kept can be had again: the next pull needs the room
        return ImageError("the disk is full", why=why, hint="free some space, or move POSTROJ_STATE_DIR")
    if isinstance(problem, OSError):
        return ImageError(f"{problem.strerror}: {problem.filename}" if problem.strerror else str(problem))
    return problem


def _is_of_the_host(problem: PostrojError | OSError) -> bool:
    """Whether no other source could help: a machine for the provisioning cannot be made."""
    of_a_source = (ImageError, ToolError, MissingToolError, DownloadError)
    return isinstance(problem, HostError) and not isinstance(problem, of_a_source)


def _is_full(problem: PostrojError | OSError) -> bool:
    status = os.statvfs(images_dir())
    text = f"{problem}\n{getattr(problem, 'why', '')}"
    # The tool that failed may have cleaned up after itself: there may be room again.
    return status.f_bavail * status.f_frsize < _FULL or os.strerror(errno.ENOSPC).lower() in text.lower()


def _summed_up(name: str, errors: Sequence[PostrojError], verb: str) -> ImageError:
    """Combine the errors: that of the first source leads, the others follow."""
    first, *others = errors
    more = "".join(f"\n{error.what}" for error in others)
    return ImageError(f"{name} cannot be {verb}: {first.what}", why=(first.why + more).strip(), hint=first.hint)
