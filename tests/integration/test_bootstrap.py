"""A bootstrap as a user's own catalogue asks for it, from the mirror that it names."""

from pathlib import Path

import pytest

from namespaces import with_old_keyring
from scratch import scratch_state
from support import STATE, Run

pytestmark = pytest.mark.network

_ENTRY = """
[[image]]
name = "ours"
family = "apt"
sources = ["bootstrap:bookworm"]
bootstrap = {{ components = ["main", "contrib"], packages = ["hello"], keyring = "{keyring}", mirror = "{mirror}" }}
"""
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def test_own_entry_with_all_that_can_be_set(bookworm: str, postroj: Run, tmp_path: Path) -> None:
    catalogue = tmp_path / "postroj/images.toml"
    catalogue.parent.mkdir()
    sources = Path(STATE, "images", bookworm, "etc/apt/sources.list").read_text().split()
    mirror = next(word for word in sources if word.startswith("http"))
    catalogue.write_text(_ENTRY.format(keyring=_KEYRING, mirror=mirror))
    with scratch_state() as state:
        env = {"POSTROJ_STATE_DIR": str(state), "XDG_CONFIG_HOME": str(tmp_path)}
        done = postroj("run", "ours", "sh", "-c", "hello; cat /etc/apt/sources.list", env=env)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("Hello, world!\n")
        assert f"{mirror} bookworm main contrib" in done.stdout

        catalogue.write_text(_ENTRY.format(keyring="/nowhere/keyring.gpg", mirror=mirror))
        missing = postroj("pull", "--update", "ours", env=env)
        assert missing.returncode == 3
        assert "keyring not found: /nowhere/keyring.gpg" in missing.stderr

        catalogue.write_text(_ENTRY.replace("sources", "source").format(keyring=_KEYRING, mirror=mirror))
        wrong = postroj("run", "ours-2", "true", env=env)
        assert wrong.returncode == 125
        assert f"{catalogue}, line 5: source is an unknown key: did you mean sources?" in wrong.stderr


def test_a_release_newer_than_the_keyring(environment: dict[str, str]) -> None:
    with scratch_state() as state:
        env = {**environment, "POSTROJ_STATE_DIR": str(state)}
        done = with_old_keyring(["pull", "--source=bootstrap", "debian-trixie"], env)
    assert done.returncode == 3
    told = "debian-archive-keyring.gpg has no valid key for trixie"
    assert told in done.stderr.splitlines()[1] and "update the package debian-archive-keyring" in done.stderr


def test_doctor_looks_for_keys(environment: dict[str, str], postroj: Run) -> None:
    done = with_old_keyring(["doctor"], environment)
    assert "debian-archive-keyring.gpg has no key for trixie, forky, sid: they cannot be bootstrapped" in done.stdout
    assert "keys of the releases to bootstrap: /usr/share/keyrings/debian" in postroj("doctor").stdout
