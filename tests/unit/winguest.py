"""What a Windows guest answers to the scripts of postroj, written from the documentation: no Windows was at hand.

It is for what is above the guest: that the scripts do on Windows what they are for is not shown by it.
"""

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from postroj.family.windows.quoting import for_cmd

from .wsman import Answer

_SCRIPT = re.compile(r"^powershell\.exe .*-EncodedCommand ([A-Za-z0-9+/]+)")
_FAILED = """\
=== Verbose logging started: 11/28/2026  14:46:00 ===
Action start 14:46:38: StartServices.
MSI (s) (E0:9C) [14:46:39:123]: Product: Case -- Error 1920. Service 'Case' (Case) failed to start. Verify that you \
have sufficient privileges to start system services.
Action ended 14:46:39: StartServices. Return value 3.
"""


def script_of(line: str) -> str:
    """Return the script of PowerShell that a command line runs; empty for another command."""
    found = _SCRIPT.match(line)
    return base64.b64decode(found[1]).decode("utf-16-le") if found else ""


@dataclass
class WindowsGuest:
    """A guest with one package that can be installed, and its service."""

    name: str = "Case"
    version: str = "1.2.3"
    service: str = "Case"
    msiexec: list[int] = field(default_factory=list)
    """The exit codes of the next calls of msiexec; 0 then."""
    state: str = "Running"
    """What the service is once it was started."""
    code: int = 0
    """Its exit code."""
    mode: str = "Auto"
    port: int = 3000
    """What it listens on as it runs."""
    installed: str = ""
    is_started: bool = False
    boots: int = 1
    files: dict[str, bytes] = field(default_factory=dict)
    scripts: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def answer(self, line: str, stdin: bytes) -> Sequence[Answer]:
        """Return what a command line is answered with."""
        self.lines.append(line)
        script = script_of(line)
        self.scripts.append(script)
        if not script:
            return self._command(line)
        out, status = self._run(script, stdin)
        return [Answer(out.replace("\n", "\r\n").encode(), b"", status)]

    def _command(self, line: str) -> Sequence[Answer]:
        if line == for_cmd(["cmd", "/C", "ver"]):
            return [Answer(b"\r\nMicrosoft Windows [Version 10.0.20348.587]\r\n", b"", 0)]
        if line.startswith("shutdown.exe"):
            self.boots += 1
            self.is_started = bool(self.installed) and self.mode == "Auto"
            return [Answer(status=0)]
        return [Answer(b"", b"'x' is not recognized as an internal or external command,\r\n", 9009)]

    def _run(self, script: str, stdin: bytes) -> tuple[str, int]:
        for sign, do in (
            ("Win32_Process |", self._processes), ("msi.dll", self._facts), ("OpenDatabase", self._resolve),
            ("ProcessStartInfo", self._msiexec), ("Get-CimInstance Win32_Service", self._services),
            ("LastBootUpTime.ToUniversalTime", self._booted), ("Get-NetTCPConnection", self._listeners),
            ("Service Control Manager", self._events), ("[IO.File]::Create", self._write),
            ("[IO.File]::OpenRead", self._read), ("Get-Acl", self._file), ("GetStream", self._exchange),
            ("ConnectAsync", self._connect), ("-Service ", self._change), ("Products", self._products),
        ):  # fmt: skip
            if sign in script:
                return do(script, stdin)
        raise AssertionError(f"nobody has told the guest of this script: {script}")

    def _facts(self, script: str, stdin: bytes) -> tuple[str, int]:
        return "architecture=x64\npackage_manager=Windows Installer 5.0.20348.1\n", 0

    def _resolve(self, script: str, stdin: bytes) -> tuple[str, int]:
        return f"{self.name}\t{self.version}\t{self.installed}\n", 0

    def _msiexec(self, script: str, stdin: bytes) -> tuple[str, int]:
        status = self.msiexec.pop(0) if self.msiexec else 0
        is_done = status in (0, 1641, 3010)
        if is_done:
            self.installed = "" if '"/x ' in script else self.version
            self.is_started = bool(self.installed) and self.mode == "Auto"
        log = "" if is_done else _FAILED
        return f"msiexec ended with {status}\n{log}", 0 if is_done else 1

    def _services(self, script: str, stdin: bytes) -> tuple[str, int]:
        one = {
            "name": self.service, "title": self.service, "mode": self.mode, "specific": 0, "user": "LocalSystem",
            "state": self.state if self.is_started else "Stopped", "code": self.code if self.is_started else 1077,
            "pid": 4242 if self.is_started and self.state == "Running" else 0, "seconds": 99.5,
        }  # fmt: skip
        asked = re.search(r"Name = ''(.*?)''", script)
        is_there = self.installed and (not asked or asked[1] == self.service)
        return json.dumps([one] if is_there else []), 0

    def _booted(self, script: str, stdin: bytes) -> tuple[str, int]:
        return f"2026-11-28T10:00:0{self.boots}.0000000Z\n", 0

    def _listeners(self, script: str, stdin: bytes) -> tuple[str, int]:
        own = f"tcp\t0.0.0.0\t{self.port}\n" if self.is_started else ""
        return f"tcp\t::\t135\n{own}udp\tfe80::1%4\t123\n", 0

    def _processes(self, script: str, stdin: bytes) -> tuple[str, int]:
        own = f"4242\tcase.exe\t{self.service}\n" if self.is_started else ""
        return f"4\tSystem\t\n{own}", 0

    def _events(self, script: str, stdin: bytes) -> tuple[str, int]:
        text = f"The {self.service} service terminated unexpectedly."
        return json.dumps([{"id": 7034, "time": "2026-11-28T10:00:09", "text": text}]), 0

    def _write(self, script: str, stdin: bytes) -> tuple[str, int]:
        self.files[_path(script)] = b"".join(map(base64.b64decode, stdin.split()))
        return "", 0

    def _read(self, script: str, stdin: bytes) -> tuple[str, int]:
        return base64.b64encode(self.files[_path(script)]).decode() + "\n", 0

    def _file(self, script: str, stdin: bytes) -> tuple[str, int]:
        found = self.files.get(_path(script))
        return "" if found is None else f"file\t{len(found)}\tBUILTIN\\Administrators\n", 0

    def _connect(self, script: str, stdin: bytes) -> tuple[str, int]:
        is_there = self.is_started and f"', {self.port})" in script
        return ("", 0) if is_there else ("ConnectionRefused\n", 1)

    def _exchange(self, script: str, stdin: bytes) -> tuple[str, int]:
        assert base64.b64decode(stdin).startswith(b"GET / HTTP/1.1\r\n")
        return base64.b64encode(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").decode() + "\n", 0

    def _change(self, script: str, stdin: bytes) -> tuple[str, int]:
        if "Start-Service" in script or "Restart-Service" in script:
            self.is_started = True
        if "Stop-Service" in script:
            self.is_started = False
        if found := re.search(r"-StartupType (\w+)", script):
            self.mode = {"Automatic": "Auto"}.get(found[1], found[1])
        return "", 0

    def _products(self, script: str, stdin: bytes) -> tuple[str, int]:
        if "exit [int](-not $found)" in script:
            return (f"installed {self.installed}\n", 0) if self.installed else ("", 1)
        return (f"installed {self.installed}\n" if self.installed else "unknown \n"), 0


def _path(script: str) -> str:
    found = re.search(r"'([A-Z]:\\.*?)'", script)
    assert found, script
    return found[1]
