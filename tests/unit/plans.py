"""Plans for unit tests: a directory with packages of three formats, and the cells of a text."""

from pathlib import Path

from postroj.plan.cells import Cells
from postroj.plan.command import Lacking, command
from postroj.plan.file import read
from postroj.plan.model import Plan

from . import archfile, rpmfile
from .debfile import CONTROL, deb

TWO = 'packages = ["dist/*.deb"]\nimages = ["debian-bookworm", "debian-trixie"]\n'
KEY = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n"
"""What is taken for a key, as long as nobody checks a signature by it."""


def debian(name: str, version: str = "1.0-1", architecture: str = "all") -> bytes:
    """A Debian package of this name."""
    fields = CONTROL.replace("hello", name, 1).replace("1.0-1", version).replace("amd64", architecture)
    return deb(fields=fields)


def project(place: Path) -> None:
    """Make dist/ with `agent` in three formats, and `tool`; previous/ with the agent's release before."""
    for directory in ("dist", "previous"):
        (place / directory).mkdir()
    (place / "dist/agent_2.0_all.deb").write_bytes(debian("agent", "2.0"))
    (place / "dist/tool_1.0_all.deb").write_bytes(debian("tool", "1.0"))
    (place / "dist/agent-2.0-1.noarch.rpm").write_bytes(rpmfile.package(rpmfile.good("agent", "2.0", arch="noarch")))
    info = archfile.INFO.replace("= hello", "= agent").replace("x86_64", "any")
    (place / "dist/agent-2.0-1-any.pkg.tar.zst").write_bytes(archfile.package(info))
    (place / "previous/agent_1.0_all.deb").write_bytes(debian("agent", "1.0"))
    (place / "key.asc").write_text(KEY)


def cells(text: str, given: Plan | None = None, environment: Plan | None = None) -> Cells:
    """Return what a text plans that is postroj.toml of the current directory."""
    Path("postroj.toml").write_text(text)
    return Cells(read("postroj.toml"), given or Plan(), environment or Plan())


def names(plan: Cells) -> list[str]:
    """Return the names of the cells."""
    return [cell.name for cell in plan.all]


def words(plan: Cells, name: str) -> list[str]:
    """Return the command line of the cell that a selector selects."""
    (cell,) = plan.select([name])
    return command(cell, plan.options(cell), Lacking())
