"""The documentation says of each image what it is, and of each unit that is masked, why."""

from pathlib import Path

import pytest

from postroj.image.catalogue import Entry, entries
from postroj.image.settle import MASKED

_TEXT = (Path(__file__).parent.parent.parent / "docs/images.md").read_text()
_VERIFIED = ("booted in the tests", "run in the tests", "shown by stand-in", "not yet")


@pytest.mark.parametrize("entry", entries(), ids=[entry.name for entry in entries()])
def test_an_image_is_in_the_table(entry: Entry) -> None:
    (row,) = [line for line in _TEXT.splitlines() if line.startswith(f"| `{entry.name}` |")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1] == f"`{entry.alias}`"
    assert entry.eol is None or cells[2] == entry.eol.isoformat()
    assert cells[3] == "<br>".join(f"`{source}`" for source in entry.sources)
    assert cells[5].startswith(_VERIFIED)


@pytest.mark.parametrize(("unit", "why"), MASKED.items())
def test_a_masked_unit_is_in_the_table(unit: str, why: str) -> None:
    assert f"| `{unit}` | {why} |" in _TEXT
