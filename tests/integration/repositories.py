"""Package repositories as their distributions have them, signed or not; reposerver.py serves them."""

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from postroj.container.tree import run_in_tree

# The stand-in for Arch Linux lives on the day after this for ever: standin_packages.sh.
_DAY = "20220430T120000"


class Key(NamedTuple):
    """A key to sign by; only that of `home` has the private part."""

    home: Path
    public: Path
    """ASCII-armored."""
    binary: Path
    """The same without armor."""
    private: Path

    def sign(self, file: Path, *how: str, into: Path) -> None:
        """Sign a file, by gpg's command `how`."""
        _gpg(self.home, "--yes", *how, "--output", str(into), str(file))


@contextmanager
def signing_key(name: str) -> Iterator[Key]:
    """A key of its own, in a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="key-", dir="/tmp") as directory:  # an agent's socket needs a short path
        home = Path(directory)
        try:
            _gpg(
                home, "--passphrase", "", "--quick-generate-key", f"{name} <{name}@example.org>", "rsa2048", "sign", "0"
            )
            _gpg(home, "--armor", "--output", str(home / "public.asc"), "--export")
            _gpg(home, "--output", str(home / "public.gpg"), "--export")
            _gpg(home, "--armor", "--output", str(home / "private.asc"), "--export-secret-keys")
            yield Key(home, home / "public.asc", home / "public.gpg", home / "private.asc")
        finally:
            subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=True)


def _gpg(home: Path, *words: str) -> None:
    command = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--pinentry-mode", "loopback"]
    subprocess.run([*command, "--faked-system-time", _DAY, *words], check=True, capture_output=True)


def make_apt(directory: Path, key: Key | None) -> None:
    """Make a flat repository of the .deb files in a directory."""
    listed = subprocess.run(
        ["dpkg-scanpackages", "--multiversion", "."], cwd=directory, capture_output=True, check=True
    )
    (directory / "Packages").write_bytes(listed.stdout)
    digest = hashlib.sha256(listed.stdout).hexdigest()
    (directory / "Release").write_text(f"SHA256:\n {digest} {len(listed.stdout)} Packages\n")
    if key:
        key.sign(directory / "Release", "--clearsign", into=directory / "InRelease")


def make_rpm(directory: Path, key: Key | None, tree: Path) -> None:
    """Make a repository of the .rpm files in a directory, by createrepo_c of a stand-in's tree."""
    _run_on(directory, tree, "createrepo_c --quiet --no-database .")
    if key:
        index = directory / "repodata/repomd.xml"
        key.sign(index, "--armor", "--detach-sign", into=index.with_name("repomd.xml.asc"))
        shutil.copy(key.public, index.with_name("repomd.xml.key"))


def make_arch(directory: Path, key: Key | None, tree: Path, name: str = "ours") -> None:
    """Make the database NAME of the packages in a directory, by repo-add of a stand-in's tree."""
    if key:
        for package in directory.glob("*.pkg.tar.zst"):
            key.sign(package, "--detach-sign", into=package.with_name(f"{package.name}.sig"))
    _run_on(directory, tree, f"repo-add --quiet {name}.db.tar.gz *.pkg.tar.zst")


def _run_on(directory: Path, tree: Path, script: str) -> None:
    """Run a script on a directory, in the tree, which may be written to."""
    place = tree / "srv/made"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(directory, place)
    status, output = run_in_tree(str(tree), ["sh", "-c", f"cd /srv/made && {script}"], name="test-repositories")
    assert status == 0, output
    shutil.copytree(place, directory, dirs_exist_ok=True, symlinks=True)
