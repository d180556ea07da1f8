"""Images of the families with RPM packages, with packages that are there already, and repositories for them."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import rpmrepos
from packages import build
from reposerver import RepositoryServer, serving
from scratch import scratch_state
from standins import copy, standin
from support import Run

FAILS = "echo no such user: x >&2; exit 3"

_REPOSITORY = "[known]\nname=known\nbaseurl={url}\nenabled=1\ngpgcheck=1\n"
_DIRECTORIES = dict.fromkeys(("dnf", "dnf5", "yum"), "etc/yum.repos.d") | {"zypper": "etc/zypp/repos.d"}
_FINISH = "rpm --import /srv/key; rpm --install --nosignature /srv/*.rpm"


class RpmImages:
    """Each is made when it is asked for first.

    They have old-preun and old-postun, whose removal fails, newer 2.0.0 and same 1.0.0. Their repository, beside that
    of the stand-in, is served from loopback, which --network=host lets them reach: `known`, by the key that they know,
    or `strange`, by another one.
    """

    def __init__(self, postroj: Run, state: Path, root: Path, directory: Path, server: RepositoryServer) -> None:
        self._postroj = postroj
        self._directory = directory
        self.root = root
        """A tree with rpmbuild, to write to."""
        self.state = state
        self.server = server
        self.env = {"POSTROJ_STATE_DIR": str(state)}
        self.known = rpmrepos.make(root, "known", _offered(directory / "offered"))
        self.strange = rpmrepos.make(root, "strange", _offered(directory / "offered-too"))
        server.directory = self.known

    def image(self, name: str) -> str:
        """Make the image of a family, unless it is there, and return its name."""
        if not (self.state / "images" / name).exists():
            with standin(name) as tree:
                done = self._postroj("image", "import", tree, name, env=self.env)
            assert done.returncode == 0, done.stderr
            self._finish(name)
        return name

    def _finish(self, name: str) -> None:
        root = (self.state / "images" / name).resolve()
        shutil.copy(self.known / "repodata/repomd.xml.key", root / "srv/key")
        (root / _DIRECTORIES[name] / "known.repo").write_text(_REPOSITORY.format(url=self.server.url))
        for package in _there(self._directory / name):
            shutil.copy(package, root / "srv")
        done = subprocess.run(["chroot", root, "sh", "-ec", _FINISH], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@contextmanager
def rpm_images(postroj: Run, directory: Path) -> Iterator[RpmImages]:
    """Yield them; all of it is gone after the block."""
    with standin("dnf") as tree, scratch_state() as state, serving(state) as server:
        copy(tree, state / "root")
        yield RpmImages(postroj, state, state / "root", directory, server)


def _there(directory: Path) -> list[Path]:
    return [
        build(directory, "old-preun", service=None, scripts={"preun": FAILS}),
        build(directory, "old-postun", service=None, scripts={"postun": FAILS}),
        build(directory, "newer", version="2.0.0", service="exit 9"),
        build(directory, "same", service="exit 9"),
    ]


def _offered(directory: Path) -> list[Path]:
    return [
        build(directory, "library", service=None, files={"/usr/share/library": "1.0.0"}),
        build(directory, "daemon"),
        build(directory, "daemon", version="1.1.0"),
        build(directory, "broken", service=None, scripts={"post": FAILS}),
        build(directory, "big", service=None, files={"/usr/share/big": Random(0).randbytes(14_000_000).hex()}),
        build(directory, "lacking", service=None, depends=["no-such-thing"]),
    ]
