"""FreeBSD and OpenBSD: what they answer, as their manuals have it, and a guest above the contract; none was booted."""

import io
import json
import lzma
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from postroj import Request, Verdict
from postroj.contract import Completed, Listener, Watcher
from postroj.deadline import Deadline
from postroj.errors import UsageError
from postroj.family.pkg import FAMILY
from postroj.harness import pkgprobe
from postroj.image import vmimage
from postroj.package import formats
from postroj.vm import providers, warm
from postroj.vm.box import Box
from postroj.vm.bsd import asking
from postroj.vm.bsd.machine import BsdMachine
from postroj.vm.ssh import Login

_NETSTAT = """\
Active Internet connections (including servers)
Proto Recv-Q Send-Q Local Address          Foreign Address        (state)
tcp4       0      0 *.22                   *.*                    LISTEN
tcp4       0      0 10.0.2.15.22           10.0.2.2.51234         ESTABLISHED
tcp4       0      0 127.0.0.1.3000         *.*                    LISTEN
udp4       0      0 *.514                  *.*
tcp6       0      0 *.22                   *.*                    LISTEN
tcp6       0      0 fe80::1%lo0.53         *.*                    LISTEN
"""


def test_what_listens() -> None:
    assert asking.read_listeners(_NETSTAT) == [
        Listener("tcp", "0.0.0.0", 22, 0),
        Listener("tcp", "127.0.0.1", 3000, 0),
        Listener("udp", "0.0.0.0", 514, 0),
        Listener("tcp", "::", 22, 0),
        Listener("tcp", "fe80::1", 53, 0),
    ]
    assert asking.read_listeners("nonsense\ntcp4 0 0 x LISTEN\n") == []


@pytest.mark.parametrize(
    ("output", "load", "active", "enablement"),
    [
        ("running\nenabled\n", "loaded", "active", "enabled"),
        ("stopped\ndisabled\n", "loaded", "inactive", "disabled"),
        ("", "not-found", "inactive", ""),
    ],
)
def test_a_service(output: str, load: str, active: str, enablement: str) -> None:
    service = asking.read_service(output)
    state = asking.state(service, seconds=1.0, was_tried=False)
    assert (state.load, state.active, asking.facts(service).enablement) == (load, active, enablement)


def test_processes_space_and_files() -> None:
    assert [(one.pid, one.name, one.uid) for one in asking.read_processes("  1   0 /sbin/init\n 42 80 nginx\nx\n")] == [
        (1, "init", 0),
        (42, "nginx", 80),
    ]
    assert asking.read_free("Filesystem 1024-blocks Used Avail Capacity Mounted on\n/dev/x 9 4 5 44% /\n") == 5 * 1024
    assert asking.read_free("") == 0
    assert asking.read_file("file\n123 root\n") == ("file", 123, "root")
    assert asking.read_file("") is None


def _package(path: Path, manifest: object, name: str = "+COMPACT_MANIFEST") -> Path:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        data = json.dumps(manifest).encode()
        member = tarfile.TarInfo(name)
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    path.write_bytes(lzma.compress(stream.getvalue()))
    return path


def test_a_package(tmp_path: Path) -> None:
    path = _package(tmp_path / "case-1.2_1.pkg", {"name": "case", "version": "1.2_1", "abi": "FreeBSD:14:*"})
    one = formats.of_file(str(path), path.name)
    assert (one.name, one.read(str(path))[:3]) == ("pkg", ("case", "1.2_1", "FreeBSD:14:*"))
    assert one.runs_on("FreeBSD:14:*", "FreeBSD:14:amd64") and not one.runs_on("FreeBSD:13:*", "FreeBSD:14:amd64")
    assert one.is_newer("1.10", "1.9") and one.is_newer("1.0,1", "2.0") and not one.is_newer("1.0", "1.0")
    wrong: tuple[object, ...] = ([], {"name": "case"}, {"name": "a b", "version": "1", "abi": "FreeBSD:14:amd64"})
    for manifest in wrong:
        with pytest.raises(UsageError, match="is not a package of FreeBSD"):
            one.read(str(_package(path, manifest)))
    with pytest.raises(UsageError, match="is not a package of FreeBSD"):
        one.read(str(_package(path, {}, name="+OTHER")))


def test_the_commands() -> None:
    assert FAMILY.install(["/x.pkg", "nginx"]) == [
        ["pkg", "add", "-f", "/x.pkg"],
        ["pkg", "install", "-y", "-f", "nginx"],
    ]
    assert FAMILY.remove(["nginx"]) == [["pkg", "delete", "-y", "nginx"]]
    said = "Updating...\npkg: No packages available to install matching 'x' have been found in the repositories\n"
    assert FAMILY.reason(said).what.startswith("No packages available to install matching 'x'")


class _FreeBsd(BsdMachine):
    """A guest with a package that ships the service `case`."""

    def __init__(self, files: Sequence[tuple[str, str]]) -> None:
        super().__init__("freebsd-14-1", Login("", 0, "", "/x/known_hosts", ""), None, brought=files)  # type: ignore[arg-type]
        self.ran: list[list[str]] = []
        self.is_installed = self.is_running = self.is_enabled = False
        self._attend()

    def __enter__(self) -> "_FreeBsd":
        return self

    def __exit__(self, *exc: object) -> None:
        """Nothing."""

    def command(
        self,
        argv: Sequence[str],
        *,
        deadline: Deadline,
        env: Mapping[str, str] | None = None,
        watcher: Watcher | None = None,
    ) -> Completed:
        self.ran.append(list(argv))
        if argv[:2] == ["pkg", "add"]:
            self.is_installed = True
        elif argv[:2] == ["pkg", "delete"]:
            self.is_installed = self.is_running = False
        elif argv[:3] == ["pkg", "query", "%Fp"]:
            return Completed(0, "/usr/local/etc/rc.d/case\n/usr/local/bin/case\n")
        elif argv[:2] == ["pkg", "query"]:
            return Completed(0, "installed 1.2\n") if self.is_installed else Completed(1, "")
        elif FAMILY.verification in argv:
            return Completed(0, "installed 1.2\n")
        elif FAMILY.facts() in argv:
            return Completed(0, "architecture=FreeBSD:14:amd64\npackage_manager=pkg 1.21\n")
        elif asking.CHANGE in argv:
            self.is_running |= argv[4] in ("start", "restart")
            self.is_enabled |= argv[4] == "enable"
        return Completed(0, "")

    def _told(self, words: Sequence[str]) -> str:
        if words[2] == asking.SERVICE:
            told = f"{'running' if self.is_running else 'stopped'}\n{'enabled' if self.is_enabled else 'disabled'}\n"
            return told if self.is_installed and words[-1] == "case" else ""
        if words[2] == asking.SHOWN:
            return "case is not running.\n\nNov 28 10:00:00 host case[1]: cannot bind to port 80\n"
        return _NETSTAT if words[2] == asking.LISTENERS else ""


@pytest.fixture
def guests(monkeypatch: pytest.MonkeyPatch) -> list[_FreeBsd]:
    found: list[_FreeBsd] = []

    @contextmanager
    def taken(
        box: Box,
        *,
        files: Sequence[tuple[str, str]] = (),
        wait: bool = False,
        offline: bool = False,
        deadline: Deadline,
    ) -> Iterator[_FreeBsd]:
        found.append(_FreeBsd(files))
        yield found[-1]

    monkeypatch.setattr(warm, "taken", taken)
    monkeypatch.setattr(warm, "check_host", lambda provider: None)
    monkeypatch.setattr(vmimage, "host_architecture", lambda: "amd64")
    monkeypatch.setattr(providers, "available", lambda: [providers.PROVIDERS[1]])
    monkeypatch.setattr("postroj.harness.require_fit_process", lambda: None)
    return found


def test_a_package_and_its_service(guests: list[_FreeBsd], tmp_path: Path) -> None:
    path = _package(tmp_path / "case-1.2.pkg", {"name": "case", "version": "1.2", "abi": "FreeBSD:14:amd64"})
    result = pkgprobe(
        Request(image="freebsd-14", packages=[str(path)], stay=0.0, phases=["install", "check", "remove"])
    )
    assert (result.verdict, result.error) == (Verdict.PASSED, None), result.findings
    (guest,) = guests
    assert guest._brought == [(str(path), "/var/tmp/postroj/0/case-1.2.pkg")]
    assert ["pkg", "add", "-f", "/var/tmp/postroj/0/case-1.2.pkg"] in guest.ran
    assert ["pkg", "delete", "-y", "case"] in guest.ran
    assert "unit case.service: active (running); started by postroj: the package leaves it disabled" in [
        f"{one.subject}: {one.detail}" for one in result.findings
    ]


def test_a_service_that_does_not_start(guests: list[_FreeBsd], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _package(tmp_path / "case-1.2.pkg", {"name": "case", "version": "1.2", "abi": "FreeBSD:14:amd64"})
    monkeypatch.setattr(_FreeBsd, "is_running", property(lambda _: False, lambda *_: None), raising=False)
    result = pkgprobe(Request(image="freebsd-14", packages=[str(path)], units=["case"], stay=0.0))
    assert result.verdict is Verdict.FAILED
    (finding,) = [one for one in result.findings if one.subject == "unit case.service"]
    assert finding.detail.startswith("inactive (dead): Nov 28 10:00:00 host case[1]: cannot bind to port 80")
