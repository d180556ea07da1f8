"""The documentation says of an image what it is, of a masked unit why it is, of a check how it is written."""

from pathlib import Path

import pytest

from postroj.image import boxes
from postroj.image.catalogue import Entry, entries
from postroj.image.settle import MASKED
from postroj.probe.check import keys, model_of
from postroj.probe.kinds import KINDS, Kind
from postroj.probe.values import Key
from postroj.vm.providers import PROVIDERS

_DOCS = Path(__file__).parent.parent.parent / "docs"
_TEXT, _, _MACHINES = (_DOCS / "images.md").read_text().partition("\n## Virtual machines\n")
_LAST = ", at the end of the units' stay"
_CHECKS = (_DOCS / "checks.md").read_text()
_VERIFIED = ("booted in the tests", "run in the tests", "shown by stand-in", "not yet")


@pytest.mark.parametrize("entry", entries(), ids=[entry.name for entry in entries()])
def test_an_image_is_in_the_table(entry: Entry) -> None:
    (row,) = [line for line in _TEXT.splitlines() if line.startswith(f"| `{entry.name}` |")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1] == f"`{entry.alias}`"
    assert entry.eol is None or cells[2] == entry.eol.isoformat()
    assert cells[3] == "<br>".join(f"`{source}`" for source in entry.sources)
    assert cells[5].startswith(_VERIFIED)


@pytest.mark.parametrize("entry", boxes.entries(), ids=[entry.name for entry in boxes.entries()])
def test_an_image_of_a_virtual_machine_is_in_the_table(entry: boxes.Entry) -> None:
    (row,) = [line for line in _MACHINES.splitlines() if line.startswith(f"| `{entry.name}` |")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1:3] == [f"`{entry.alias}`" if entry.alias else "", entry.eol.isoformat() if entry.eol else ""]
    assert cells[3] == "<br>".join(map(_box, entry.boxes))
    assert cells[4:] == [entry.communicator, f"{entry.memory} MiB, {entry.cores}"]


def _box(box: boxes.Box) -> str:
    unverified = f"; unverified: {box.unverified}" if box.unverified else ""
    return f"`{box.name}` ({', '.join(box.providers)}{unverified})"


def test_the_order_of_the_providers_is_documented() -> None:
    titles = ("libvirt", "VirtualBox", "VMware", "Hyper-V", "Parallels Desktop", "QEMU")
    assert ", ".join(titles) in " ".join(_MACHINES.split())
    assert all(one.title.startswith(title) for one, title in zip(PROVIDERS, titles, strict=True))


@pytest.mark.parametrize(("unit", "why"), MASKED.items())
def test_a_masked_unit_is_in_the_table(unit: str, why: str) -> None:
    assert f"| `{unit}` | {why} |" in _TEXT


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_check_has_a_section(kind: str) -> None:
    """Its model is what is documented: what it says, its subject and its settings."""
    (section,) = [part for part in _CHECKS.split("\n## ") if part.startswith(f"{kind}\n")]
    model = model_of(kind)
    (_, subject), *settings = keys(model).items()
    rows = [_row(name, key) for name, key in settings if name != "timeout"]
    table = ["| setting | means | for example |", "|---|---|---|", *rows]
    about = [" ".join(model.__doc__.split()), f"`{subject.example}`: {subject.means}.", "\n".join(table)]
    assert section.startswith("\n\n".join([kind, *about, "```\n"]))


def _row(name: str, key: Key) -> str:
    written = ", ".join(f"`{name}{operator}`" for operator in key.operators)
    more = ", ".join(word for word in ("repeatable", "required") if getattr(key, word))
    means = f"{key.means} ({more})" if more else key.means
    example = ", ".join(f"`{one}`" for one in key.example.replace("|", r"\|").split(" or "))
    return f"| {written} | {means} | {example} |"


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_a_kind_of_check_is_in_the_table(name: str, kind: Kind) -> None:
    (row,) = [line for line in _CHECKS.splitlines() if line.startswith(f"| [{name}](#{name}) |")]
    when = "until `--network-timeout`" if kind.seconds is None else f"for {kind.seconds:g} seconds"
    assert row.endswith(f"| {'once' if kind.seconds == 0 else when}{_LAST * kind.last} |")
