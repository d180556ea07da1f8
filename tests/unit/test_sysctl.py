"""Settings of the kernel, with files in their places."""

from pathlib import Path

import pytest

from postroj.container.host import sysctl
from postroj.container.host.sysctl import Setting


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "rcu_expedited"
    path.write_text("0\n")
    return path


def of(path: Path, run: str, monkeypatch: pytest.MonkeyPatch) -> Setting:
    """The setting, as a postroj sees it that has this /run."""
    directory = path.parent / run
    directory.mkdir(exist_ok=True)
    monkeypatch.setattr(sysctl, "RUNTIME_DIR", str(directory))
    return Setting(str(path), 1)


def test_last_one_sets_it_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = of(path, "one", monkeypatch)
    one.ensure()
    one.ensure()
    assert path.read_text().strip() == "1"
    one.restore()
    assert path.read_text().strip() == "0"
    assert not one.is_noted()


def test_two_that_do_not_see_each_other_leave_it_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = of(path, "one", monkeypatch), of(path, "other", monkeypatch)
    one.ensure()
    other.ensure()
    one.restore()  # which is the last one, as far as it sees
    other.ensure()
    assert path.read_text().strip() == "1"
    other.restore()
    assert path.read_text().strip() == "0"


def test_kernel_without_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = of(path, "one", monkeypatch)
    path.unlink()
    one.ensure()
    one.restore()
    assert (one.suffices(), path.exists(), one.is_noted()) == (True, False, False)
