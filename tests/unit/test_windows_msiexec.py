"""Windows Installer. The logs were written after those in Microsoft's documentation: no Windows was at hand."""

import io
import re

import pytest

from postroj.errors import UsageError
from postroj.family.windows import installers, msiexec, msilog

from .winargs import c_runtime
from .winargs import msiexec as properties_of

_SERVICE = """\
=== Verbose logging started: 11/28/2026  10:00:00  Build type: SHIP UNICODE 5.00.10011.00 ===
MSI (c) (70:54) [10:00:00:097]: Machine policy value 'DisableUserInstalls' is 0
Action start 10:00:01: INSTALL.
MSI (s) (14:AC) [10:00:01:100]: PROPERTY CHANGE: Adding ERRORDIALOG property. Its value is 'ErrorDlg'.
Action start 10:00:02: InstallExecute.
MSI (s) (14:AC) [10:00:03:000]: Executing op: ServiceControl(,Name=Grafana,Action=1,Wait=1,)
MSI (s) (14:AC) [10:00:33:000]: Note: 1: 2205 2:  3: Error
MSI (s) (14:AC) [10:00:33:001]: Product: Grafana -- Error 1920. Service 'Grafana' (Grafana) failed to start.  Verify \
that you have sufficient privileges to start system services.

Error 1920. Service 'Grafana' (Grafana) failed to start.  Verify that you have sufficient privileges \
to start system services.
MSI (s) (14:AC) [10:00:33:002]: User policy value 'DisableRollback' is 0
Action ended 10:00:33: InstallExecute. Return value 3.
Action start 10:00:33: Rollback.
Action ended 10:00:34: INSTALL. Return value 3.
MSI (s) (14:AC) [10:00:34:000]: Product: Grafana -- Installation operation failed.
MSI (s) (14:AC) [10:00:34:001]: MainEngineThread is returning 1603
"""
_CUSTOM = """\
Action start 10:00:01: InstallFinalize.
SFXCA: Binding to CLR version v4.0.30319
System.IO.FileNotFoundException: Could not find file 'C:\\x\\case.conf'.
   at Case.Actions.Configure(Session session)
CustomAction Configure returned actual error code 1603 (note this may not be 100% accurate if translation \
happened inside sandbox)
Action ended 10:00:02: InstallFinalize. Return value 3.
"""
_CONDITION = """\
Action start 10:00:01: LaunchConditions.
MSI (c) (70:54) [10:00:01:097]: Product: Case -- This product needs Windows Server 2022 or newer.

Action ended 10:00:01: LaunchConditions. Return value 3.
Action ended 10:00:01: INSTALL. Return value 3.
"""
_GERMAN = """\
Aktion 10:00:01: InstallFiles. Dateien werden kopiert
Aktion gestartet um 10:00:01: InstallFiles.
MSI (s) (14:AC) [10:00:01:097]: Produkt: Case -- Fehler 1304. Fehler beim Schreiben in die Datei C:\\x.
Aktion beendet um 10:00:02: InstallFiles. R\u00fcckgabewert 3.
"""
_FINE = """\
Action start 10:00:01: InstallFiles.
Action ended 10:00:02: InstallFiles. Return value 1.
Action ended 10:00:02: INSTALL. Return value 1.
"""
_EARLY = "MSI (s) (14:AC) [10:00:01:097]: Product: Case -- Error 1316. The specified account already exists.\n"


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (_SERVICE, "Error 1920. Service 'Grafana' (Grafana) failed to start. Verify that you have sufficient "
                   "privileges to start system services."),
        (_CUSTOM, "the custom action Configure failed with 1603: System.IO.FileNotFoundException: Could not find file "
                  "'C:\\x\\case.conf'."),
        (_CONDITION, "This product needs Windows Server 2022 or newer."),
        (_GERMAN, "Fehler 1304. Fehler beim Schreiben in die Datei C:\\x."),
        (_EARLY, "Error 1316. The specified account already exists."),
        ("Action ended 1:00:00: X. Return value 3.", "the action X failed"),
        (_FINE, ""), ("", ""), ("Action ended 10:00:02: X. Return value 13.", ""),
    ],
)  # fmt: skip
def test_the_reason_of_a_failure(log: str, reason: str) -> None:
    assert msilog.reason(log) == reason
    assert msilog.reason(log.replace("\n", "\r\n")) == reason


def test_the_telling_lines_are_those_of_the_first_action_that_failed() -> None:
    lines = msilog.telling(_SERVICE)
    assert lines[-1] == "Action ended 10:00:33: InstallExecute. Return value 3."
    assert [line.split(".")[0] for line in lines[:-1]] == ["Product: Grafana -- Error 1920", "Error 1920"]


def test_lines_of_an_action_before_are_not_told() -> None:
    before = "Action start 9:00:00: A.\nError 1234. It is tried again.\nAction ended 9:00:01: A. Return value 1.\n"
    assert msilog.telling(before + _CONDITION) == msilog.telling(_CONDITION)


@pytest.mark.parametrize(
    "log", ["a\n" * 1_000_000, "x" * 10_000_000, "Error 1000." * 100_000, "\0" * 1000, "MSI (s) (" * 9999]
)
def test_a_hostile_log_is_bounded(log: str) -> None:
    lines = msilog.telling(log)
    assert len(lines) <= 13 and all(len(line) <= 500 for line in lines)
    assert len(msilog.reason(log)) <= 600


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8", "utf-8-sig"])
def test_a_log_is_text_however_it_is_encoded(encoding: str) -> None:
    bom = "\ufeff" if encoding == "utf-16-be" else ""
    assert msilog.decoded((bom + _SERVICE).encode(encoding)) == _SERVICE
    assert "Fehler" in msilog.decoded(_GERMAN.encode("cp1252")), "an old code page"
    msilog.decoded(b"\xff\xfe\x00\xd8\x00")


@pytest.mark.parametrize(
    ("status", "told", "means"),
    [
        (0, "it is done (0, ERROR_SUCCESS)", msiexec.DONE),
        (1603, "a fatal error during the installation (1603, ERROR_INSTALL_FAILURE)", msiexec.PACKAGE),
        (1618, "another installation is in progress (1618, ERROR_INSTALL_ALREADY_RUNNING)", msiexec.MACHINE),
        (1638, "another version of the product is installed (1638, ERROR_PRODUCT_VERSION)", msiexec.PACKAGE),
        (1641, "it is done, and the machine reboots (1641, ERROR_SUCCESS_REBOOT_INITIATED)", msiexec.REBOOT),
        (3010, "it is done after a reboot (3010, ERROR_SUCCESS_REBOOT_REQUIRED)", msiexec.REBOOT),
        (-1073741819, "it failed with 0xc0000005 (3221225477)", msiexec.PACKAGE),
        (42, "it failed with 0x0000002a (42)", msiexec.PACKAGE),
    ],
)
def test_an_exit_code_by_its_name(status: int, told: str, means: str) -> None:
    found = msiexec.exit_of(status)
    assert (str(found), found.means) == (told, means)
    assert found.is_success == (status in (0, 1641, 3010))


def _line(script: str) -> str:
    assert "'msiexec.exe'" in script and "$p.WaitForExit()" in script
    text = re.search(r"^\$i\.Arguments = '(.*)'$", script, re.MULTILINE)
    assert text
    return text[1].replace("''", "'")


def test_the_command_lines_of_msiexec() -> None:
    install = _line(
        msiexec.install("C:\\a b\\x.msi", "C:\\x.log", {"INSTALLDIR": "C:\\P F", "NAME": 'a "b"', "NONE": ""})
    )
    tail = '/qn /norestart /L*V "C:\\x.log"'
    assert install == f'/i "C:\\a b\\x.msi" {tail} INSTALLDIR="C:\\P F" NAME="a ""b""" NONE=""'
    assert properties_of(install) == {"INSTALLDIR": "C:\\P F", "NAME": 'a "b"', "NONE": ""}
    assert c_runtime(f"x {install}")[1:3] == ["/i", "C:\\a b\\x.msi"]
    assert _line(msiexec.repair("C:\\x.msi", "C:\\x.log")) == f'/famus "C:\\x.msi" {tail}'
    assert _line(msiexec.remove("{1-2}", "C:\\x.log")) == f'/x "{{1-2}}" {tail}'
    upgrade = properties_of(_line(msiexec.upgrade_in_place("C:\\x.msi", "C:\\x.log", {"A": "1"})))
    assert upgrade == {"REINSTALL": "ALL", "REINSTALLMODE": "vomus", "A": "1"}
    with pytest.raises(UsageError):
        msiexec.install("C:\\x.msi", "C:\\x.log", {"A": "1\n2"})


@pytest.mark.parametrize(
    ("inside", "kind", "silent"),
    [
        (b"\xef\xbe\xad\xdeNullsoftInst", "NSIS", "/S"),
        (b"Inno Setup Setup Data (6.2.0)", "Inno Setup", "/VERYSILENT"),
        (b".wixburn", "WiX", "/quiet"),
    ],
)
@pytest.mark.parametrize("before", [100, 1024 * 1024 - 8, 5 * 1024 * 1024])
def test_an_installer_is_known_by_what_made_it(inside: bytes, kind: str, silent: str, before: int) -> None:
    found = installers.kind_of(io.BytesIO(b"MZ" + bytes(before) + inside + bytes(100)))
    assert found and (found.name, found.silent[0]) == (kind, silent)


def test_what_is_no_known_installer() -> None:
    assert installers.kind_of(io.BytesIO(b"MZ" + bytes(1000))) is None
    assert installers.kind_of(io.BytesIO(b"MZ" + bytes(66 * 1024 * 1024) + b".wixburn")) is None, "too far behind"
    for data in (b"", b"M", b"\x7fELF", b"Nullsoft"):
        with pytest.raises(UsageError, match="it is not a program of Windows"):
            installers.kind_of(io.BytesIO(data))


def test_the_commands_of_chocolatey_and_winget() -> None:
    quiet = ["--yes", "--no-progress", "--limit-output"]
    assert installers.install("choco", "grafana", "11.1") == ["choco", "install", "grafana", *quiet, "--version=11.1"]
    assert installers.upgrade("choco", "grafana") == ["choco", "upgrade", "grafana", *quiet]
    assert installers.remove("choco", "grafana") == ["choco", "uninstall", "grafana", *quiet]
    winget = installers.install("winget", "GrafanaLabs.Grafana.OSS", "11.1")
    assert winget[:7] == ["winget", "install", "--id", "GrafanaLabs.Grafana.OSS", "--exact", "--version", "11.1"]
    assert "--accept-package-agreements" not in installers.remove("winget", "x")
    assert installers.upgrade("winget", "x")[:4] == ["winget", "upgrade", "--id", "x"]
    for name, version in (("-x", ""), ("a b", ""), ("", ""), ("x;y", ""), ("x", "-1"), ("x", "1 2"), ("x" * 129, "")):
        for manager in ("choco", "winget"):
            with pytest.raises(UsageError):
                installers.install(manager, name, version)


def test_the_exit_codes_of_chocolatey_and_winget() -> None:
    assert installers.exit_of_manager("choco", 3010).means == msiexec.REBOOT
    assert installers.exit_of_manager("winget", -1978335212).told == "there is no such package"
    assert installers.exit_of_manager("winget", -1978335189).is_success
    assert installers.exit_of_manager("choco", -1978335189).means == msiexec.PACKAGE
