"""An image of each family, and a repository for it with the package `vendor`, which needs `vendor-lib`."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import debs
import packages
import repositories
from repositories import Key
from scratch import scratch_state
from standins import copy, standin
from support import Run


@contextmanager
def standin_image(family: str, postroj: Run) -> Iterator[tuple[Path, Path]]:
    """A state directory with the image of a stand-in, and a tree that makes repositories for it."""
    with standin(family) as tree, standin("dnf") as maker, scratch_state() as state:
        pulled = postroj("image", "import", tree, family, env={"POSTROJ_STATE_DIR": str(state)})
        assert pulled.returncode == 0, pulled.stderr
        copy(tree if family == "pacman" else maker, state / "root")
        yield state, state / "root"


def repository_words(family: str, url: str) -> str:
    """Return how the repository at a URL is written."""
    return {"apt": f"{url} ./", "pacman": f"{url} ours"}.get(family, url)


def make(family: str, directory: Path, key: Key | None, tree: Path, *, version: str = "1.0.0") -> None:
    """Make the repository, or make it anew with another version of `vendor` instead; signed by the key if there is one.

    `tree` is one of `standin_image`, for apt none is needed.
    """
    directory.mkdir(exist_ok=True)
    for old in (*directory.glob("vendor[-_][0-9]*"), *directory.glob("ours.*")):
        old.unlink()
    build(family, directory, "vendor", ["vendor-lib"], key, version=version)
    if not list(directory.glob("vendor-lib*")):
        build(family, directory, "vendor-lib", [], key)
    for left in directory.glob("tree-of-*"):
        shutil.rmtree(left)
    if family == "apt":
        repositories.make_apt(directory, key)
    elif family == "pacman":
        repositories.make_arch(directory, key, tree)
    else:
        repositories.make_rpm(directory, key, tree)


def build(
    family: str,
    directory: Path,
    name: str,
    depends: Sequence[str] = (),
    key: Key | None = None,
    *,
    version: str = "1.0.0",
    post: str = "",
) -> Path:
    """Build a package with the file /usr/share/NAME/version, and a script that runs after its installation."""
    files = {f"/usr/share/{name}/version": version}
    if family == "apt":
        fields = {"Version": version} | ({"Depends": ", ".join(depends)} if depends else {})
        return debs.build(directory, name, service=None, fields=fields, files=files, postinst=post)
    signature = {"signature": {"key_file": str(key.private)}} if key and family != "pacman" else {}
    return packages.build(
        directory,
        name,
        packager="archlinux" if family == "pacman" else "rpm",
        version=version,
        architecture="amd64",
        service=None,
        files=files,
        depends=depends,
        scripts={"post": post} if post else {},
        fields={"rpm": signature},
    )
