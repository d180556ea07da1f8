"""Source `bootstrap:SUITE`: Debian or Ubuntu from the signed archive, by mmdebstrap, which finds the archive itself."""

import os
import re
from collections.abc import Sequence
from contextlib import suppress

from postroj import process
from postroj.cache import bootstraps
from postroj.errors import ImageError, ToolError
from postroj.events import Phase, emit
from postroj.image import keyring
from postroj.image.source import Source
from postroj.lastwords import telling

# mount is in no dependency of systemd's since Debian 14, and systemd cannot boot without it. Each installed Debian has
# the others, whose priority is required or important: procps has /bin/kill, by which many units reload; maintainer
# scripts make users by passwd and adduser; apt removes no systemd-sysv that init needs.
_PACKAGES = ("systemd", "systemd-sysv", "init", "dbus", "mount", "procps", "passwd", "login", "adduser")
# Constant text: the directories come by the environment. The mounts end with the namespace that mmdebstrap runs in.
_KEEP_DOWNLOADS = (
    'mkdir -p "$1/var/cache/apt/archives" "$1/var/lib/apt/lists"'
    ' && mount --bind "$POSTROJ_PACKAGES" "$1/var/cache/apt/archives"'
    ' && mount --bind "$POSTROJ_LISTS" "$1/var/lib/apt/lists"'
)
_FORGET = 'umount "$1/var/cache/apt/archives" "$1/var/lib/apt/lists"'
_STATUS = "var/lib/dpkg/status"
_LONGEST = 300
_ERRORS = re.compile(r"^(?:E: .*|Err:.*(?:\n .*)*)", re.MULTILINE)


def find(source: Source, subject: str) -> str:
    """What it will be is not known before it is made. Raises MissingToolError, ImageError."""
    if source.digest:
        raise ImageError(
            f"{source} with this digest is not downloaded, and cannot be rebuilt from a moving archive",
            hint="keep a copy of what is needed again: `postroj image export`",
        )
    if "+" in source.location:
        raise ImageError(
            f"the images.toml entry that {source} was built from no longer exists",
            hint="restore the entry, or remove the image: `postroj image rm`",
        )
    process.require("mmdebstrap")
    own = source.bootstrap.keyring
    if own and not os.path.exists(own):
        raise ImageError(
            f"keyring not found: {own}, needed to verify {source}",
            hint="install the package that contains it, such as ubuntu-keyring or ubuntu-archive-keyring",
        )
    return ""


def fetch(source: Source, digest: str, tree: str, subject: str) -> str:
    """Make the tree's `root`. Raises ToolError, ImageError."""
    emit(Phase(subject, "download", f"bootstrapping {source.location}"))
    make(source, os.path.join(tree, "root"), subject)
    return ""


def make(
    source: Source, root: str, subject: str, *, use: str = "", packages: Sequence[str] = (), hooks: Sequence[str] = ()
) -> None:
    """Bootstrap a tree, with more packages and hooks (options of mmdebstrap) than those of an image.

    What a kill leaves is in the parent directory of `root`. Downloads are kept for the next tree of the same source and
    `use`. Raises ToolError, ImageError.
    """
    options = source.bootstrap
    included = (*_PACKAGES, *packages, *options.packages)
    command = [
        *("mmdebstrap", "--mode=root", "--variant=apt", f"--include={','.join(included)}"),
        *([f"--components={','.join(options.components)}"] if options.components else []),
        *([f"--keyring={options.keyring}"] if options.keyring else []),
        *(f"--setup-hook={_KEEP_DOWNLOADS}", *hooks, f"--customize-hook={_FORGET}", "--skip=essential/unlink"),
        *(source.location, root),
        *([options.mirror] if options.mirror else []),
    ]
    with bootstraps.kept(f"{use}{source} {options}") as kept:
        # TMPDIR: what a kill leaves there is swept up with the tree.
        temporary = os.path.dirname(root)
        env = process.environment(TMPDIR=temporary, POSTROJ_PACKAGES=kept.packages, POSTROJ_LISTS=kept.lists)
        try:
            process.follow(command, subject=subject, env=env)
        except ToolError as error:
            if keyring.is_why(error.why):
                raise _untrusted(source, error) from error
            told = _told(error.why)
            raise ImageError(f"mmdebstrap cannot make {source.location}{_cause(told)}", why=told) from error
        with suppress(OSError), open(os.path.join(root, _STATUS), errors="replace") as status:
            kept.seal(status.read())


def _untrusted(source: Source, error: ToolError) -> ImageError:
    path = source.bootstrap.keyring or keyring.DEBIAN
    package = keyring.package(path)
    return ImageError(
        f"the keyring {path} has no valid key for {source.location}: it is too old, or its keys have expired",
        why=_told(error.why),
        hint=f"update the package {package}" if package else "update it, or name another in the catalogue",
    )


def _cause(told: str) -> str:
    """Return the first error of mmdebstrap's words as a clause, for where one line is shown; empty if there is none."""
    words = told.splitlines()
    first = next((line for line in words if line.startswith("E: ")), "") or telling(words)
    return f": {' '.join(first.removeprefix('E: ').split())[:_LONGEST]}" if first else ""


def _told(output: str) -> str:
    """What of mmdebstrap's words is an error: apt's with the reasons below them, and its own."""
    errors = _ERRORS.findall(output)
    return "\n".join(dict.fromkeys(errors)) or output
