"""From a catalogue entry to an activated image."""

import errno
import os
from datetime import UTC, datetime

from postroj.errors import ImageError, ToolError
from postroj.events import Step, emit
from postroj.image import bootstrap, oci, store
from postroj.image.catalogue import Entry
from postroj.image.provision import provision
from postroj.image.store import Image

_FULL = 16 * 1024 * 1024


def provide(entry: Entry) -> Image:
    """Fetch, provision, settle, activate. Somebody else's pull of the same image at this moment is ours as well."""
    with store.pulling(entry.name) as replaced:
        if not replaced:
            with store.new_tree(entry.name) as tree:
                try:
                    _make(entry, tree)
                except (ToolError, ImageError, OSError) as error:
                    raise _explained(entry, tree, error) from error
    with store.just_pulled(entry.name) as image:
        return image


def _make(entry: Entry, tree: str) -> None:
    kind, _, rest = entry.source.partition(":")
    if kind == "bootstrap":
        emit(Step(entry.name, f"bootstraps {rest}"))
        bootstrap.fetch(rest, tree, entry.name)
    else:
        emit(Step(entry.name, f"downloads {entry.source}"))
        oci.fetch(entry.source, tree, entry.name)
    facts = provision(entry.name, entry.family, os.path.join(tree, "root"))
    emit(Step(entry.name, "is activated"))
    pulled = datetime.now(UTC).isoformat(timespec="seconds")
    store.activate(entry.name, tree, {"family": entry.family, "source": entry.source, "pulled": pulled, **facts})


def _explained(entry: Entry, tree: str, error: Exception) -> ImageError:
    status = os.statvfs(tree)
    why = getattr(error, "why", "")
    # The tool that failed may have cleaned up after itself: there may be room again.
    if status.f_bavail * status.f_frsize < _FULL or os.strerror(errno.ENOSPC) in f"{error}\n{why}":
        what, hint = "the disk is full", "free some space, or move POSTROJ_STATE_DIR"
    else:
        what, hint = str(error), getattr(error, "hint", "") or f"see whether what {entry.source} names can be reached"
    return ImageError(f"{entry.name} cannot be pulled: {what}", why=why, hint=hint)
