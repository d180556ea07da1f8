"""What doctor makes of a host, where that can be tried without changing one."""

from pathlib import Path

import pytest

from postroj import doctor, process
from postroj.doctor import Level


@pytest.mark.parametrize(
    ("release", "level"),
    [
        ("6.18.0", Level.OK), ("6.1.0-30-amd64", Level.OK), ("5.6", Level.OK), ("6.18.0+deb13-amd64", Level.OK),
        ("6.19-rc1", Level.OK),
        ("5.10.102.1-microsoft-standard-WSL2", Level.OK), ("10.0.1", Level.OK), ("5.5.19", Level.BAD),
        ("4.19.0-27", Level.BAD),
    ],
)  # fmt: skip
def test_kernels(monkeypatch: pytest.MonkeyPatch, release: str, level: Level) -> None:
    monkeypatch.setattr("platform.release", lambda: release)
    assert doctor._kernel().level is level


def test_missing_tools_are_told_with_what_brings_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(process, "SEARCH_PATH", str(tmp_path))
    checks = list(doctor._tools())
    machines, *images = checks
    assert machines.level is Level.BAD and "systemd-nspawn" in machines.what and "systemd-container" in machines.mend
    assert {check.level for check in images} == {Level.NOTE} and all(check.mend for check in images)
    (vms,) = doctor._vms()
    assert vms.level is Level.NOTE and vms.what == "missing for --vm: virsh, vagrant, ssh, ssh-keygen" and vms.mend


@pytest.mark.parametrize("path", ["", "nothing/there/yet"])
def test_what_is_not_there_yet_will_lie_in_what_is(tmp_path: Path, path: str) -> None:
    assert doctor._existing(str(tmp_path / path)) == str(tmp_path)
