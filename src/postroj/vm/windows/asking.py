"""What a Windows guest is asked beside its services: scripts of PowerShell, and how their answers are read.

Sources: Get-NetTCPConnection, Get-NetUDPEndpoint, Win32_Process, Win32_OperatingSystem, Win32_LogicalDisk, and
System.Net.Sockets.TcpClient (Microsoft Learn). What is read comes from the guest: it is bounded, and anything of
another form is an error of the guest's.
"""

import base64
import binascii
import errno
import os
from collections.abc import Iterator
from typing import IO

from postroj.contract import FileFacts, Listener, Running
from postroj.errors import GuestSetupError, HostError
from postroj.family.windows.quoting import literal

HEAD = """\
$ErrorActionPreference = 'Stop'
[Console]::OutputEncoding = New-Object Text.UTF8Encoding $false
"""
BOOTED = "(Get-CimInstance Win32_OperatingSystem).LastBootUpTime.ToUniversalTime().ToString('o')\n"
FREE = "(Get-CimInstance Win32_LogicalDisk -Filter \"DeviceID = '$env:SystemDrive'\").FreeSpace\n"
_LISTENERS = """\
Get-NetTCPConnection -State Listen | ForEach-Object { "tcp`t$($_.LocalAddress)`t$($_.LocalPort)" }
Get-NetUDPEndpoint | ForEach-Object { "udp`t$($_.LocalAddress)`t$($_.LocalPort)" }
"""
_PROCESSES = """\
$services = @{}
Get-CimInstance Win32_Service -Filter 'ProcessId <> 0' | ForEach-Object { $services[$_.ProcessId] = $_.Name }
Get-CimInstance Win32_Process | ForEach-Object { "$($_.ProcessId)`t$($_.Name)`t$($services[$_.ProcessId])" }
"""
# Lines of base64 on the standard input: neither ssh nor WinRM changes them.
_WRITE = """\
$path = {path}
[void](New-Item -ItemType Directory -Force (Split-Path $path))
$file = [IO.File]::Create($path)
while ($null -ne ($line = [Console]::In.ReadLine())) {{
    if ($line) {{ $bytes = [Convert]::FromBase64String($line); $file.Write($bytes, 0, $bytes.Length) }}
}}
$file.Close()
"""
_READ = """\
$file = [IO.File]::OpenRead({path})
$left = {most}
$buffer = New-Object byte[] 49152
while ($left -gt 0 -and ($count = $file.Read($buffer, 0, [math]::Min($left, $buffer.Length))) -gt 0) {{
    [Convert]::ToBase64String($buffer, 0, $count)
    $left -= $count
}}
"""
_FILE = """\
$one = Get-Item -LiteralPath {path} -Force -ErrorAction SilentlyContinue
if ($one) {{ "$(if ($one.PSIsContainer) {{ 'directory' }} else {{ 'file' }})`t$([long]$one.Length)`t$((Get-Acl $one.FullName).Owner)" }}
"""  # noqa: E501
_CONNECT = """\
$client = New-Object Net.Sockets.TcpClient([Net.Sockets.AddressFamily]::InterNetworkV6)
$client.Client.DualMode = $true
try {{
    if (-not $client.ConnectAsync({host}, {port}).Wait({milliseconds})) {{ 'TimedOut'; exit 1 }}
}} catch {{ $_.Exception.GetBaseException().SocketErrorCode; exit 1 }}
"""
# One request, one answer: WinRM passes no connections on.
_EXCHANGE = """\
$stream = $client.GetStream()
$stream.ReadTimeout = {milliseconds}
$line = [Console]::In.ReadLine()
if ($line) {{ $bytes = [Convert]::FromBase64String($line); $stream.Write($bytes, 0, $bytes.Length) }}
$buffer = New-Object byte[] 49152
try {{
    while (($count = $stream.Read($buffer, 0, $buffer.Length)) -gt 0) {{
        [Convert]::ToBase64String($buffer, 0, $count)
    }}
}} catch {{ }}
"""
_ERRORS = {
    "ConnectionRefused": errno.ECONNREFUSED,
    "HostUnreachable": errno.EHOSTUNREACH,
    "NetworkUnreachable": errno.ENETUNREACH,
    "TimedOut": errno.ETIMEDOUT,
    "ConnectionReset": errno.ECONNRESET,
}
_UNKNOWN_HOSTS = ("HostNotFound", "NoData", "TryAgain")
PIECE = 36 * 1024
"""The bytes of a line of base64: WinRM takes 150 kB at once by default."""
_MOST_ROWS = 10_000
MOST_OF_A_FILE = 1 << 40


def listeners() -> str:
    """Return the script that prints what listens."""
    return HEAD + _LISTENERS


def processes() -> str:
    """Return the script that prints all processes."""
    return HEAD + _PROCESSES


def write(path: str) -> str:
    """Return the script that writes a file from lines of base64."""
    return HEAD + _WRITE.format(path=literal(path))


def read(path: str, most: int) -> str:
    """Return the script that prints a file as lines of base64."""
    return HEAD + _READ.format(path=literal(path), most=most)


def file(path: str) -> str:
    """Return the script that prints what has a path."""
    return HEAD + _FILE.format(path=literal(path))


def connect(host: str, port: int, timeout: float) -> str:
    """Return the script that connects by TCP, and prints why it cannot; `timeout` in seconds."""
    return HEAD + _CONNECT.format(host=literal(host), port=port, milliseconds=max(1, int(timeout * 1000)))


def exchange(host: str, port: int, timeout: float) -> str:
    """Return the script that connects, sends what is in a line of base64, and prints the answer as such lines."""
    return connect(host, port, timeout) + _EXCHANGE.format(milliseconds=max(1, int(timeout * 1000)))


def read_listeners(output: str) -> list[Listener]:
    """Return what the script has printed. Raises GuestSetupError."""
    rows = _rows(output, 3)
    return [Listener(row[0], row[1].partition("%")[0], _number(row[2]), 0) for row in rows if row[0] in ("tcp", "udp")]


def read_processes(output: str) -> list[Running]:
    """Return what the script has printed: a name without .exe, as ps(1) would have it. Raises GuestSetupError."""
    return [
        Running(_number(pid), name.removesuffix(".exe")[:15], 0, f"{service}.service" if service else "", frozenset())
        for pid, name, service in _rows(output, 3)
    ]


def read_file(output: str) -> FileFacts | None:
    """Return what the script has printed; None for nothing. Raises GuestSetupError."""
    rows = _rows(output, 3)
    return FileFacts(rows[0][0], _number(rows[0][1]), rows[0][2].rpartition("\\")[2]) if rows else None


def error_of(output: str) -> OSError:
    """Return why a connection cannot be made, from what the script has printed."""
    said = output.strip().rpartition("\n")[2].strip()
    if said in _UNKNOWN_HOSTS:
        return OSError(errno.ENOENT, "the name does not resolve")
    code = _ERRORS.get(said, errno.ECONNREFUSED)
    return OSError(code, os.strerror(code) if said in _ERRORS else said or os.strerror(code))


def lines_of(source: IO[bytes]) -> Iterator[bytes]:
    """Return a stream as lines of base64."""
    while piece := source.read(PIECE):
        yield base64.b64encode(piece) + b"\r\n"


def bytes_of(line: bytes) -> bytes:
    """Return what a line of base64 means. Raises HostError."""
    try:
        return base64.b64decode(line.strip(), validate=True)
    except binascii.Error as error:
        raise HostError("what the guest says of a file cannot be read", why=str(error)) from error


def _rows(output: str, count: int) -> list[list[str]]:
    rows = [line.rstrip("\r").split("\t") for line in output.splitlines() if line.strip()]
    if len(rows) > _MOST_ROWS or any(len(row) != count for row in rows):
        raise GuestSetupError("what PowerShell says of the guest cannot be read", why=output[:500])
    return rows


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 19:
        raise GuestSetupError("what PowerShell says of the guest cannot be read", why=f"{text[:80]!r} is not a number")
    return int(text)
