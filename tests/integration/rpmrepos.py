"""A signed repository of RPM packages, and packages by a spec file."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

# In a tree with createrepo_c: "$1" is the repository's directory there, "$2" a name for its key.
_MAKE = r"""
export GNUPGHOME="/srv/gnupg-$2"
mkdir -m 700 "$GNUPGHOME"
trap 'gpgconf --kill all; rm -rf "$GNUPGHOME"' EXIT
gpg --batch --quiet --passphrase '' --quick-generate-key "$2" rsa2048 sign never
rpmsign --define '__gpg /usr/bin/gpg' --define "_gpg_name $2" --addsign "$1"/*.rpm >&2
createrepo_c --quiet --no-database "$1"
gpg --batch --armor --detach-sign "$1/repodata/repomd.xml"
gpg --batch --armor --export "$2" >"$1/repodata/repomd.xml.key"
"""

_BUILD = "rpmbuild -bb --quiet --define '_topdir /srv/build' --define '_rpmdir /srv/built' /srv/spec >&2"


def make(root: Path, name: str, packages: Sequence[Path]) -> Path:
    """Make a repository of packages in a tree, signed by a key of its own, and return its directory."""
    directory = root / "srv" / name
    directory.mkdir()
    for package in packages:
        shutil.copy(package, directory)
    _run(root, _MAKE, f"/srv/{name}", name)
    return directory


def rpmbuild(root: Path, spec: str) -> Path:
    """Build a package from a spec file by a tree's rpmbuild, and return its path."""
    (root / "srv/spec").write_text(spec)
    shutil.rmtree(root / "srv/built", ignore_errors=True)
    _run(root, _BUILD)
    (built,) = (root / "srv/built").rglob("*.rpm")
    return built


def _run(root: Path, script: str, *words: str) -> None:
    command = ["chroot", str(root), "sh", "-ec", script, "sh", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
