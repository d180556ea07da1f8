"""What is imported is waited for by each user, each time."""

import signal
import subprocess
import sys

import pytest

_SHOW = """
import sys
before = set(sys.modules)
import {module}
print(*(set(sys.modules) - before))
"""


def imported(module: str) -> set[str]:
    script = _SHOW.format(module=module)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert module in done.stdout.split()
    return set(done.stdout.split())


@pytest.fixture(scope="module")
def for_version() -> set[str]:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "postroj", "--version"], capture_output=True, text=True, check=True
    )
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


@pytest.fixture(scope="module")
def for_pkgprobe() -> set[str]:
    """All that `postroj pkgprobe --check-unit` has before it starts nspawn, which it does first of all."""
    return imported("postroj.cli.pkgprobe")


def test_a_probe_imports_no_more_than_it_did(for_pkgprobe: set[str]) -> None:
    """Whatever is new on the way to the boot: each module takes some tenths of a millisecond, of each cycle."""
    assert len(for_pkgprobe) < 150, sorted(for_pkgprobe)


_INTERRUPTED = """
import signal, sys
class Interrupt:
    def find_spec(name, path, target=None):
        if name == "postroj.cli":
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Interrupt)
from postroj.__main__ import main
main()
"""


def test_it_can_be_interrupted_while_it_imports() -> None:
    done = subprocess.run([sys.executable, "-c", _INTERRUPTED], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


@pytest.mark.parametrize(
    "module", ["rich", "asyncio", "jeepney", "tomllib", "shtab", "urllib.request", "msgspec", "jinja2"]
)
def test_the_version_needs_little(for_version: set[str], module: str) -> None:
    assert "postroj.cli" in for_version
    assert module not in for_version


@pytest.mark.parametrize(
    "module",
    [
        "rich", "jeepney", "tomllib", "hashlib", "tempfile", "shutil", "asyncio", "urllib.request", "ssl",
        "dataclasses",
        "inspect", "pathlib", "http.client", "tarfile", "lzma", "ipaddress", "difflib", "multiprocessing", "xml",
        "logging", "msgspec", "jinja2", "postroj.report.text", "postroj.report.clean",
        "postroj.image.catalogue", "postroj.image.provide", "postroj.family",
    ],
)  # fmt: skip
def test_a_probe_boots_before_it_imports(for_pkgprobe: set[str], module: str) -> None:
    assert {"postroj.harness", "postroj.container.launch.nspawn"} <= for_pkgprobe
    assert module not in for_pkgprobe


def test_the_library_imports_its_names_on_use() -> None:
    assert imported("postroj") == {"postroj"}


@pytest.mark.parametrize(
    "module",
    [
        "rich", "jeepney", "tomllib", "hashlib", "tempfile", "asyncio", "urllib.request", "ssl", "dataclasses",
        "inspect", "pathlib", "argparse", "postroj.image.catalogue", "postroj.family", "postroj.package",
        "postroj.probe", "postroj.harness",
    ],
)  # fmt: skip
def test_a_machine_boots_before_it_imports(module: str) -> None:
    assert module not in imported("postroj.api")


@pytest.mark.parametrize(
    "module",
    [
        "postroj.api",
        "postroj.harness",
        "postroj.container",
        "postroj.image",
        "postroj.package.reference",
        "postroj.probe.network",
    ],
)
def test_only_the_command_line_imports_the_command_line(module: str) -> None:
    assert not {name for name in imported(module) if name.startswith("postroj.cli")}


_EXEC = """
import sys
before = set(sys.modules)
from postroj import cli
cli.build_parser(["exec"], alone=True).parse_args(["exec", "mine", "true"])
from postroj import capture
from postroj.container.guest import bus, transient
from postroj.container.host import record
record.read("nothing"), record.read_proxies("nothing")
print(*(set(sys.modules) - before))
"""


def test_a_command_in_a_machine_that_runs_needs_little() -> None:
    """All that `postroj exec` imports: its user waits for it."""
    done = subprocess.run([sys.executable, "-c", _EXEC], capture_output=True, text=True, check=True)
    there = set(done.stdout.split())
    assert {"jeepney", "postroj.cli.exec", "postroj.container.attached"} <= there
    assert not {"shutil", "json", "shlex", "locale", "lzma", "subprocess", "difflib"} & there
    assert len(there) < 105, sorted(there)


@pytest.mark.parametrize("command", ["pull", "image"])
def test_the_live_line_is_imported_for_terminals_only(command: str) -> None:
    assert not {name for name in imported(f"postroj.cli.{command}") if name.split(".")[0] == "rich"}


@pytest.mark.parametrize("command", ["list-images", "pull", "doctor"])
def test_a_command_imports_no_other(command: str) -> None:
    there = imported(f"postroj.cli.{command.replace('-', '_')}")
    assert not {"postroj.cli.pkgprobe", "postroj.cli.run", "shtab"} & there


def test_reports_are_imported_on_use() -> None:
    assert {name for name in imported("postroj.report") if name.startswith("postroj")} == {
        "postroj", "postroj.report", "postroj.colours",
    }  # fmt: skip
    assert not {"msgspec", "jinja2", "xml", "json"} & imported("postroj.report")
    assert not {"msgspec", "jinja2", "postroj.harness.life.rules"} & imported("postroj.report.junit")
