"""Machines of all families, to install packages in and to remove them, and a package for each of them."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import debs
import packages
from postroj import family
from postroj import image as images
from postroj.container import Bind, Container, Options
from postroj.deadline import NEVER, Deadline
from postroj.family import Family
from postroj.package.install import install
from postroj.package.reference import Package, open_packages
from rpm_images import RpmImages
from standins import standin
from support import STATE, Run

FAMILIES = ("apt", "dnf", "yum", "zypper", "pacman")

_OF_DEBIAN = {"pre": "preinst", "preun": "prerm", "postun": "postrm"}


class Guest:
    """A machine of one family, and the packages whose files it has."""

    def __init__(self, machine: Container, of: Family, known: Sequence[Package]) -> None:
        self.machine = machine
        self.family = of
        self.packages = known

    def install(self, *numbers: int) -> None:
        """Install packages by their number, all at the same time."""
        first = numbers[0]
        assert list(numbers) == list(range(first, first + len(numbers)))
        install(self.machine, self.family, [self.packages[one] for one in numbers], deadline=NEVER, first=first)

    def run(self, script: str) -> str:
        """Return what a script prints; it may fail."""
        return self.machine.command(["sh", "-c", script], deadline=NEVER).output

    def read_config(self, name: str) -> list[str]:
        """Return the paths of a package's configuration files, sorted, as its package manager has them."""
        output = self.machine.command(self.family.config_files([name]), deadline=NEVER).output
        return sorted(self.family.read_config_files(output))


class FamilyGuests:
    """Makes the images that it needs when they are asked for first; `state` is where those of the stand-ins are."""

    def __init__(self, postroj: Run, rpms: RpmImages) -> None:
        self._postroj = postroj
        self.rpms = rpms

    def _image(self, name: str) -> tuple[str, str]:
        """Return the image of a family, and its state directory."""
        if name == "apt":
            done = self._postroj("pull", "debian-bookworm")
            assert done.returncode == 0, done.stderr
            return "debian-bookworm", STATE
        if name == "pacman":
            if not (self.rpms.state / "images/pacman").exists():
                with standin("pacman") as tree:
                    done = self._postroj("image", "import", tree, name, env=self.rpms.env)
                assert done.returncode == 0, done.stderr
            return name, str(self.rpms.state)
        return self.rpms.image(name), str(self.rpms.state)

    @contextmanager
    def booted(self, name: str, files: Sequence[Path | str]) -> Iterator[Guest]:
        """Yield a machine of a family that has these packages: files, or names from its repositories."""
        image_name, state = self._image(name)
        before = os.environ.get("POSTROJ_STATE_DIR", "")
        os.environ["POSTROJ_STATE_DIR"] = state
        known = open_packages(list(map(str, files)), deadline=NEVER)
        binds = [Bind(one.file, one.guest_name(number)) for number, one in enumerate(known) if one.file]
        options = Options(network="host")
        try:
            with (
                images.open_image(image_name) as image,
                Container(
                    image.root, f"removal-{name}", binds=binds, options=options, deadline=Deadline(300)
                ) as machine,
            ):
                yield Guest(machine, family.load(name), known)
        finally:
            os.environ["POSTROJ_STATE_DIR"] = before


def build(
    directory: Path,
    family_name: str,
    name: str = "case",
    *,
    version: str = "1.0.0",
    scripts: Mapping[str, str] | None = None,
    config: Mapping[str, str] | None = None,
    depends: Sequence[str] = (),
    **more: Any,
) -> Path:
    """Build a package for a family; `scripts` are by rpm's words for them.

    The rest is as debs.build and packages.build have it.
    """
    place = directory / f"{family_name}-{name}-{version}"
    place.mkdir()
    more.setdefault("service", None)
    if family_name != "apt":
        kind = "archlinux" if family_name == "pacman" else "rpm"
        return packages.build(
            place, name, packager=kind, version=version, scripts=scripts, config=config, depends=depends, **more
        )
    fields = {"Version": version, **({"Depends": ", ".join(depends)} if depends else {})}
    written = dict(scripts or {})
    postinst = written.pop("post", "")
    control = {"conffiles": "".join(f"{path}\n" for path in config)} if config else {}
    return debs.build(
        place,
        name,
        fields=fields,
        postinst=postinst,
        scripts={_OF_DEBIAN.get(word, word): text for word, text in written.items()},
        files={**more.pop("files", {}), **(config or {})},
        control={**more.pop("control", {}), **control},
        **more,
    )
