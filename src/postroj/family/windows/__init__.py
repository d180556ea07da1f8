"""Windows: packages of Windows Installer (.msi), and names for Chocolatey or winget.

No Windows guest was booted in the tests. What is run in the guest are scripts of Windows PowerShell, each as long as a
command line may be.
"""

import re
from collections.abc import Collection, Sequence

from postroj.contract import Completed
from postroj.family import Commands, Family
from postroj.family.plan import Plan, Step
from postroj.family.reason import Reason
from postroj.family.windows import installers, msiexec, msilog, quoting

_HEAD = """\
$ErrorActionPreference = 'Stop'
[Console]::OutputEncoding = New-Object Text.UTF8Encoding $false
"""
_FACTS = """\
$known = @{ AMD64 = 'x64'; ARM64 = 'arm64'; x86 = 'x86' }
"architecture=$($known[$env:PROCESSOR_ARCHITECTURE])"
"package_manager=Windows Installer $((Get-Item $env:windir\\System32\\msi.dll).VersionInfo.ProductVersion)"
"""
# What is installed for all users, of 64 and of 32 bits: "Uninstall Registry Key" (Microsoft Learn).
_PRODUCTS = """\
function Products { Get-ItemProperty -ErrorAction SilentlyContinue (
    'HKLM:\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Uninstall\\*',
    'HKLM:\\SOFTWARE\\WOW6432Node\\Microsoft\\Windows\\CurrentVersion\\Uninstall\\*') }
"""
# "Installer Object" (Microsoft Learn): the one way to the tables of a package.
_RESOLVE = """\
$installer = New-Object -ComObject WindowsInstaller.Installer
function Do($of, $how, $name, $with) {{ $of.GetType().InvokeMember($name, $how, $null, $of, $with) }}
foreach ($path in @({paths})) {{
    $data = Do $installer 'InvokeMethod' 'OpenDatabase' @($path, 0)
    $view = Do $data 'InvokeMethod' 'OpenView' @('SELECT `Property`, `Value` FROM `Property`')
    [void](Do $view 'InvokeMethod' 'Execute' $null)
    $told = @{{}}
    while ($row = Do $view 'InvokeMethod' 'Fetch' $null) {{
        $told[(Do $row 'GetProperty' 'StringData' 1)] = Do $row 'GetProperty' 'StringData' 2
    }}
    [void](Do $view 'InvokeMethod' 'Close' $null)
    $old = @(Products | Where-Object {{ $_.PSChildName -eq $told.ProductCode }})[0].DisplayVersion
    "$($told.ProductName)`t$($told.ProductVersion)`t$old"
}}
"""
_MSIEXEC = """\
$log = {log}
function Run($arguments) {{
    $i = New-Object Diagnostics.ProcessStartInfo
    $i.FileName = 'msiexec.exe'
    $i.Arguments = "$arguments /qn /norestart /L*V `"$log`""
    $i.UseShellExecute = $false
    $p = [Diagnostics.Process]::Start($i)
    $p.WaitForExit()
    $p.ExitCode
}}
{run}
"msiexec ended with $status"
if ($status -in 0, 1641, 3010) {{ exit 0 }}
$lines = @(Get-Content $log -ErrorAction SilentlyContinue)
$end = 0
$failed = '^\\D{{1,60}}\\d+:\\d\\d:\\d\\d: [\\w.-]+\\. .*\\D3\\.$'
while ($end -lt $lines.Count - 1 -and $lines[$end] -notmatch $failed) {{ $end++ }}
$lines[([math]::Max(0, $end - 250))..$end]
exit 1
"""
_INSTALL = """\
$status = Run {arguments}
if ($status -eq 1638) {{ $status = Run ({arguments} + ' REINSTALL=ALL REINSTALLMODE=vomus') }}"""
_REMOVE = """\
$status = 1605
foreach ($one in Products | Where-Object {{ $_.DisplayName -in {names} -and $_.WindowsInstaller }}) {{
    $status = Run "/x $($one.PSChildName)"
    if ($status -notin 0, 1641, 3010) {{ break }}
}}"""
_VERSIONS = """\
$found = @(Products | Where-Object {{ $_.DisplayName -eq {name} }})
foreach ($one in $found) {{ "installed $($one.DisplayVersion)" }}
exit [int](-not $found)
"""
_VERIFY = """\
foreach ($name in @({names})) {{
    $found = @(Products | Where-Object {{ $_.DisplayName -eq $name }})
    if ($found) {{ "installed $($found[0].DisplayVersion)" }} else {{ 'unknown ' }}
}}
"""
_BY_NAME = """\
if (Get-Command choco -ErrorAction SilentlyContinue) {{ $by = 'choco'; & {choco} }}
elseif (Get-Command winget -ErrorAction SilentlyContinue) {{ $by = 'winget'; & {winget} }}
else {{ 'the guest has neither Chocolatey nor winget'; exit 1 }}
"$by ended with $LASTEXITCODE"
exit [int]($LASTEXITCODE -notin 0, 1641, 3010)
"""
_LOG = "C:\\Windows\\Temp\\postroj.log"
_ENDED = re.compile(r"^(msiexec|choco|winget) ended with (-?\d{1,10})\r?$", re.MULTILINE)
_NOT_THERE = "the guest has neither Chocolatey nor winget"


class _Windows(Family):
    name = "windows"
    tools = ()
    architecture = version = ""
    format = "msi"
    command = "msiexec"
    database = "Windows Installer"
    word = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}(=[A-Za-z0-9][A-Za-z0-9._+-]{0,63})?")
    lists_files = False
    downgrades = False

    def ask_facts(self) -> list[str]:
        return _powershell(_FACTS)

    def resolve(self, words: Sequence[str], *, lists: bool) -> Commands:
        paths = ", ".join(quoting.literal(word) for word in words if _is_file(word))
        return [_powershell(_PRODUCTS + _RESOLVE.format(paths=paths))] if paths else []

    def plan(self, output: str) -> Plan:
        rows = [line.split("\t") for line in output.splitlines()]
        steps = tuple(Step(row[0], row[1], row[2].strip(), is_local=True) for row in rows if len(row) == 3)
        return Plan(installed=steps, unchanged=tuple(one.name for one in steps if one.old == one.version))

    def update(self) -> Sequence[str]:
        return _powershell("exit 0")

    def fetch(self, words: Sequence[str], *, again: Collection[str] = ()) -> Commands:
        return []

    def install(self, words: Sequence[str], *, again: Collection[str] = (), lists: bool = True) -> Commands:
        return [self._install(word, again=word in again) for word in words]

    def _install(self, word: str, *, again: bool) -> list[str]:
        if not _is_file(word):
            return _powershell(_by_name(word))
        path = quoting.msiexec_path(word)
        arguments = quoting.literal(f"{'/famus' if again else '/i'} {path}")
        log = quoting.literal(f"{word}.log")
        return _powershell(_MSIEXEC.format(log=log, run=_INSTALL.format(arguments=arguments)))

    def remove(self, names: Sequence[str]) -> Commands:
        run = _REMOVE.format(names=", ".join(map(quoting.literal, names)))
        return [_powershell(_PRODUCTS + _MSIEXEC.format(log=quoting.literal(_LOG), run=run))]

    def removed(self, output: str) -> Sequence[str]:
        return ()

    def reason(self, output: str, status: int = 0) -> Reason:
        found = _ENDED.search(output)
        if not found:
            return Reason(_NOT_THERE) if _NOT_THERE in output else Reason()
        told = str(_exit(found))
        log = output[found.end() :]
        why = msilog.reason(log)
        line = next((n for n, text in enumerate(output.splitlines()) if why and why in " ".join(text.split())), 0)
        what = f"{found[1]} ended: {told}" + (f": {why}" if why else "")
        return Reason(what, words=msilog.telling(log), line=line)

    def of_machine(self, output: str) -> str:
        found = _ENDED.search(output)
        return str(_exit(found)) if found and _exit(found).means == msiexec.MACHINE else ""

    def notes(self, output: str) -> list[str]:
        exits = [(found, _exit(found)) for found in _ENDED.finditer(output)]
        return [f"{found[1]}: {one}" for found, one in exits if one.means == msiexec.REBOOT]

    def running(self, output: str, processes: Collection[str] = ()) -> str:
        return ""

    def complaints(self, output: str, names: Collection[str]) -> list[str]:
        return []

    def query(self, name: str, architecture: str) -> str:
        return name

    def verify(self, pairs: Sequence[str]) -> list[str]:
        return _powershell(_PRODUCTS + _VERIFY.format(names=", ".join(map(quoting.literal, pairs[::2]))))

    def versions(self, name: str) -> list[str]:
        return _powershell(_PRODUCTS + _VERSIONS.format(name=quoting.literal(name)))

    def resolved(self, done: Completed) -> bool:
        return done.status == 0


def _powershell(script: str) -> list[str]:
    return quoting.powershell(_HEAD + script)


def _is_file(word: str) -> bool:
    return "\\" in word


def _by_name(word: str) -> str:
    name, _, version = word.partition("=")
    lines = {
        manager: " ".join(map(quoting.literal, installers.install(manager, name, version)))
        for manager in (installers.CHOCOLATEY, installers.WINGET)
    }
    return _BY_NAME.format(choco=lines[installers.CHOCOLATEY], winget=lines[installers.WINGET])


def _exit(found: re.Match[str]) -> msiexec.Exit:
    status = int(found[2])
    return msiexec.exit_of(status) if found[1] == "msiexec" else installers.exit_of_manager(found[1], status)


FAMILY = _Windows()
