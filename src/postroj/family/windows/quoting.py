"""Command lines for Windows: a process gets one text there, which it takes apart itself.

Sources: CommandLineToArgvW and "Parsing C command-line arguments" (Microsoft Learn), `cmd /?`, about_PowerShell_exe,
and "Command-Line Options" of Windows Installer.
"""

import base64
import re
from collections.abc import Sequence

from postroj.errors import UsageError

LONGEST = 8191
"""How many characters cmd.exe takes in a command line."""
_LONGEST_OF_A_PROCESS = 32_766
"""How many CreateProcess takes, without the NUL at the end."""

# For cmd.exe. Arguments with these characters are quoted, so that a batch file that passes them on is safe as well.
_SPECIAL = "()%!^\"<>&|,;=`'@"
_CARETED = frozenset('()!^"<>&|')
_NEEDS_QUOTES = re.compile(rf"[\s{re.escape(_SPECIAL)}]|\A\Z")
_BARE_PROGRAM = re.compile(r"[A-Za-z0-9_.:\\+-]+")
_BATCH = re.compile(r"\.(bat|cmd)[. ]*\Z", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")
_PROPERTY = re.compile(r"[A-Z_][A-Z0-9_.]{0,71}")
# PowerShell takes each of these for the end of a text in single quotes: about_Quoting_Rules.
_SINGLE = re.compile("['\u2018\u2019\u201a\u201b]")
_POWERSHELL = (
    "powershell.exe -NoLogo -NoProfile -NonInteractive -ExecutionPolicy Bypass -OutputFormat Text -EncodedCommand "
)
_QUIET = "$ProgressPreference = 'SilentlyContinue'\n"
_START = """\
$i = New-Object Diagnostics.ProcessStartInfo
$i.FileName = {program}
$i.Arguments = {arguments}
$i.UseShellExecute = $false
try {{ $p = [Diagnostics.Process]::Start($i) }} catch {{
    [Console]::Error.WriteLine($_.Exception.GetBaseException().Message)
    exit 127
}}
$p.WaitForExit()
exit $p.ExitCode
"""


def argument(text: str) -> str:
    """Return an argument as CommandLineToArgvW and the C runtime take it apart. Raises UsageError."""
    _check(text)
    if not _NEEDS_QUOTES.search(text):
        return text
    # Backslashes count as escapes only in front of a quotation mark, and the closing one is such.
    escaped = re.sub(r'(\\*)"', r'\1\1\\"', text)
    escaped = re.sub(r"(\\+)\Z", r"\1\1", escaped)
    return f'"{escaped}"'


def for_process(argv: Sequence[str]) -> str:
    """Return a command line for CreateProcess, which the program splits as the C runtime does. Raises UsageError."""
    program, *arguments = argv
    _check_program(program, arguments)
    line = " ".join([f'"{program}"', *map(argument, arguments)])
    return _no_longer_than(line, _LONGEST_OF_A_PROCESS)


def for_cmd(argv: Sequence[str]) -> str:
    """Return what cmd.exe is to be given behind /C, so that the program gets these arguments. Raises UsageError.

    The program can be a command of cmd.exe itself, such as `ver`; those do not split their arguments.
    """
    program, *arguments = argv
    _check_program(program, arguments)
    if not _BARE_PROGRAM.fullmatch(program):
        if "%" in program:
            raise UsageError(f"cmd.exe cannot start a program with % in its name: {program[:200]}")
        program = f'"{program}"'
    return _no_longer_than(" ".join([program, *(_careted(argument(text)) for text in arguments)]), LONGEST)


def _careted(text: str) -> str:
    """Return a text as cmd.exe hands it on: a caret is before all that is special to it.

    Variables are looked up before carets are removed, so a caret keeps no % from being the end of a name. The name that
    follows a % here is `cd:~,`: the first zero characters of the current directory, which is empty. Rust's standard
    library does the same. It needs the command extensions, which are on if nobody has turned them off.
    """
    return "".join("%%cd:~,%" if this == "%" else f"^{this}" if this in _CARETED else this for this in text)


def for_powershell(argv: Sequence[str]) -> str:
    """Return a script of PowerShell that runs a program, as `start` does. Raises UsageError.

    PowerShell 5.1 drops empty arguments and does not escape quotation marks, so the command line is made here.
    """
    program, *arguments = argv
    _check_program(program, arguments)
    return start(program, " ".join(map(argument, arguments)))


def start(program: str, arguments: str) -> str:
    """Return a script that starts a program with its arguments as one text, and waits for it, even if it has windows.

    The script ends with the exit status; with 127 if the program cannot be started. Raises UsageError.
    """
    _no_longer_than(f'"{program}" {arguments}', _LONGEST_OF_A_PROCESS)
    return _START.format(program=literal(program), arguments=literal(arguments))


def encoded(script: str) -> str:
    """Return a command line that runs a script by Windows PowerShell, in no need of quotes. Raises UsageError."""
    return " ".join(powershell(script))


def powershell(script: str) -> list[str]:
    """Return the command that runs a script by Windows PowerShell. Raises UsageError if it is too long.

    Spaces make it as long as base64 needs no `=`, which cmd.exe takes for the end of an argument.
    """
    whole = _QUIET + script
    text = base64.b64encode((whole + " " * (-len(whole) % 3)).encode("utf-16-le")).decode()
    _no_longer_than(_POWERSHELL + text, LONGEST)
    return [*_POWERSHELL.split(), text]


def literal(text: str) -> str:
    """Return a text as PowerShell writes it, in which nothing is expanded. Raises UsageError."""
    _check(text)
    return "'" + _SINGLE.sub(lambda match: match[0] * 2, text) + "'"


def msiexec_property(name: str, value: str) -> str:
    """Return NAME="value" for msiexec, which doubles quotation marks and knows no backslashes. Raises UsageError."""
    if not _PROPERTY.fullmatch(name):
        hint = "write capital letters, digits, underscores and dots: INSTALLDIR=…"
        raise UsageError(f"'{name[:80]}' is not a public property of Windows Installer", hint=hint)
    _check(value)
    if value.endswith("\\"):  # some parsers take \" for a quotation mark that belongs to the value
        raise UsageError(f"the value of {name} ends in a backslash", hint="leave it out: Windows Installer adds it")
    doubled = value.replace('"', '""')
    return f'{name}="{doubled}"'


def msiexec_path(path: str) -> str:
    """Return a path, or a product code, for msiexec. Raises UsageError."""
    _check(path)
    if not path or '"' in path or path.endswith("\\"):
        raise UsageError(f"'{path[:200]}' is not the path of a file of Windows")
    return f'"{path}"'


def _check(text: str) -> None:
    if _CONTROL.search(text):
        raise UsageError("a line break or another control character cannot be part of a command line of Windows")


def _check_program(program: str, arguments: Sequence[str]) -> None:
    """Raise UsageError for a program that no quotes can name, and for arguments that a batch file would expand."""
    _check(program)
    if not program.strip() or '"' in program:
        raise UsageError(f"'{program[:200]}' cannot be the name of a program of Windows")
    if _BATCH.search(program):
        for text in arguments:
            if any(character in text for character in '"%!') or text.endswith("\\"):
                what = f"{program[:200]} is a batch file, which would expand this argument: {text[:200]}"
                raise UsageError(what, hint="quotation marks, % and ! cannot be passed to a batch file unchanged")


def _no_longer_than(line: str, most: int) -> str:
    if len(line) > most:
        raise UsageError(f"the command line has {len(line):,} characters; Windows takes {most:,}")
    return line
