"""Arguments reach a program of Windows as they are, by the parsers that Windows has (winargs.py)."""

import base64
import random
import re
import subprocess

import pytest

from postroj.errors import UsageError
from postroj.family.windows import quoting

from .winargs import c_runtime, cmd, command_line_to_argv, msiexec

AWKWARD = [
    "", " ", "  ", "a", "a b", " a", "a ", "a\tb", '"', '""', '"""', 'a"b', '"a b"', 'say "hi there"', "\\", "\\\\",
    "C:\\", "C:\\Program Files\\", "C:\\Program Files\\\\", "\\\\server\\share\\a b\\", 'a\\"b', 'a\\\\"b c', '\\"',
    '\\\\"', "%", "%%", "%PATH%", "%path%", "%%PATH%%", "%%%PATH%%%", "%PATH:a=b%", "%%PATH:a=b%", "%PATH:~0,1%",
    "100%", "%PATH", "a%PATH%b", '"%PATH%"', "%^PATH%", "^", "^^", "^%PATH^%", "a^b", "&", "&&", "a&b", "a & b",
    '" & calc & "', "|", "||", "a|b", "<", ">", ">>", "2>&1", "2>nul", "(", ")", "(a)", "!", "!PATH!", "^!PATH^!",
    "@", "@echo", ";",
    ",", "=", "a=b", "a;b", "`", "$(x)", "$env:PATH", "${x}", "'", "a'b", "''", "/C", "--x=y z", "-", "*", "?", "~",
    "#", "[x]", "{x}", "ünï", "日本 語", "🙂", "\u2018x\u2019", "\u201a\u201b",
    "\u201c", "\xa0", "a\u3000b", "\\n", "\\\\?\\C:\\x", "con",
    '{"a": "b\\\\"}', "PROP=\"a b\"",
]  # fmt: skip
VARIABLES = {"PATH": "C:\\expanded", "A": "a", "CD": "C:\\Windows", "^": "x", "^PATH^": "x", " ": "x"}
PROGRAM = "C:\\Program Files\\x.exe"


def _random() -> list[list[str]]:
    pick = random.Random(12)
    alphabet = 'ab \t\\\\""%%^^&|<>()!=:~PATH\''
    return [
        ["".join(pick.choices(alphabet, k=pick.randrange(9))) for _ in range(pick.randrange(5))] for _ in range(3000)
    ]


ALL = [[text] for text in AWKWARD] + [["x", text, "y"] for text in AWKWARD] + [AWKWARD] + _random()


def test_the_parsers_are_those_of_the_documentation() -> None:
    """The examples of "Parsing C command-line arguments", and of CommandLineToArgvW."""
    examples = [
        ('x "a b c" d e', ["a b c", "d", "e"]),
        (r'x "ab\"c" "\\" d', ['ab"c', "\\", "d"]),
        (r'x a\\\b d"e f"g h', [r"a\\\b", "de fg", "h"]),
        (r"x a\\\"b c d", [r"a\"b", "c", "d"]),
        (r'x a\\\\"b c" d e', [r"a\\b c", "d", "e"]),
    ]
    for line, arguments in examples:
        assert c_runtime(line)[1:] == command_line_to_argv(line)[1:] == arguments
    assert c_runtime('x a"b"" c d') == ["x", 'ab" c d']
    assert command_line_to_argv('x a"b"" c d') == ["x", 'ab"', "c", "d"]
    assert cmd('echo %path% ^%A^% ^& %no% "&^" %A:a=b%', VARIABLES) == 'echo C:\\expanded %A% & %no% "&^" b'
    with pytest.raises(ValueError, match="&"):
        cmd("a & b", VARIABLES)


def test_the_parsers_read_what_python_writes_on_windows() -> None:
    for arguments in ALL:
        line = subprocess.list2cmdline(["x", *arguments])
        assert c_runtime(line) == command_line_to_argv(line) == ["x", *arguments]


def test_arguments_reach_a_process() -> None:
    for arguments in ALL:
        line = quoting.for_process([PROGRAM, *arguments])
        assert c_runtime(line) == command_line_to_argv(line) == [PROGRAM, *arguments]


def test_arguments_reach_a_process_by_way_of_cmd() -> None:
    for arguments in ALL:
        for program in (PROGRAM, "x.exe"):
            line = cmd(quoting.for_cmd([program, *arguments]), VARIABLES)
            assert c_runtime(line) == command_line_to_argv(line) == [program, *arguments]


def test_arguments_without_need_are_not_quoted() -> None:
    assert quoting.for_cmd(["ver"]) == "ver"
    assert quoting.for_cmd(["cmd", "/C", "ver"]) == "cmd /C ver"
    assert quoting.for_cmd(["sc.exe", "query", "Grafana"]) == "sc.exe query Grafana"


def test_a_batch_file_that_passes_arguments_on_sees_no_operator() -> None:
    """It reads the line a second time."""
    for text in AWKWARD:
        if not set('"%!') & set(text) and not text.endswith("\\"):
            once = cmd(quoting.for_cmd(["x.cmd", text]), VARIABLES)
            assert c_runtime(cmd(once, VARIABLES)) == ["x.cmd", text]


@pytest.mark.parametrize("text", ['"', "%PATH%", "!x!", 'a"&calc', "a\\"])
@pytest.mark.parametrize("program", ["x.bat", "C:\\a b\\X.CMD", "x.bat ", "x.bat."])
@pytest.mark.parametrize("write", [quoting.for_process, quoting.for_cmd, quoting.for_powershell])
def test_what_a_batch_file_would_expand_is_refused(write, program: str, text: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError, match="is a batch file, which would expand this argument"):
        write([program, text])


@pytest.mark.parametrize("write", [quoting.for_process, quoting.for_cmd, quoting.for_powershell])
@pytest.mark.parametrize("text", ["a\nb", "a\r", "\0", "\x1a", "\x1b[2J", "a\x85", "\u2028", "\udce9"])
def test_control_characters_are_refused(write, text: str) -> None:  # type: ignore[no-untyped-def]
    for argv in (["x.exe", text], [text]):
        with pytest.raises(UsageError, match="control character"):
            write(argv)


@pytest.mark.parametrize("program", ["", " ", 'a"b'])
def test_what_cannot_be_a_program(program: str) -> None:
    for write in (quoting.for_process, quoting.for_cmd, quoting.for_powershell):
        with pytest.raises(UsageError, match="cannot be the name of a program of Windows"):
            write([program])
    with pytest.raises(UsageError, match="with % in its name"):
        quoting.for_cmd(["%PATH%.exe"])


def test_a_program_for_powershell() -> None:
    """The two texts are literals, and the second is the command line without the program."""
    for arguments in ALL:
        script = quoting.for_powershell([PROGRAM, *arguments])
        program, line = (_literal(script, name) for name in ("FileName", "Arguments"))
        assert program == PROGRAM
        assert c_runtime(f"x {line}") == command_line_to_argv(f"x {line}") == ["x", *arguments]


def _literal(script: str, name: str) -> str:
    """Return what a line assigns, by the rules of single quotes in PowerShell: each of five ends them."""
    (text,) = re.findall(rf"^\$i\.{name} = '(.*)'$", script, re.MULTILINE)
    quotes = "'\u2018\u2019\u201a\u201b"
    assert not re.search(f"(?<![{quotes}])(?:[{quotes}]{{2}})*[{quotes}](?![{quotes}])", text)
    return re.sub(f"([{quotes}])[{quotes}]", r"\1", text)


def test_a_script_for_powershell_needs_no_quotes() -> None:
    script = "Write-Output 'ünï \"&%PATH%'\nexit 3"
    line = quoting.encoded(script)
    assert cmd(line, VARIABLES) == line == quoting.for_cmd(line.split(" "))
    assert base64.b64decode(line.split(" ")[-1]).decode("utf-16-le").endswith(script)


def test_what_is_too_long_is_refused() -> None:
    assert len(quoting.for_cmd(["x", "a" * 8000])) == 8002
    with pytest.raises(UsageError, match="has 8,202 characters; Windows takes 8,191"):
        quoting.for_cmd(["x", "a" * 8200])
    with pytest.raises(UsageError, match="Windows takes 32,766"):
        quoting.for_process(["x", "a" * 33_000])
    with pytest.raises(UsageError, match="Windows takes 32,7"):
        quoting.for_powershell(["x", "a" * 33_000])
    with pytest.raises(UsageError, match="Windows takes 8,191"):
        quoting.encoded("a" * 4000)


def test_properties_of_msiexec() -> None:
    for text in AWKWARD:
        if not text.endswith("\\"):
            line = quoting.msiexec_property("X", text) + " " + quoting.msiexec_property("Y_2.A", "b c")
            assert msiexec(line) == {"X": text, "Y_2.A": "b c"}
            assert _literal(quoting.start("msiexec.exe", line), "Arguments") == line


@pytest.mark.parametrize("name", ["", "x", "Installdir", "1X", "X Y", "X=", 'X"', "X" * 73, "/qn"])
def test_what_is_no_public_property(name: str) -> None:
    with pytest.raises(UsageError, match="is not a public property"):
        quoting.msiexec_property(name, "x")


def test_what_msiexec_could_misread_is_refused() -> None:
    with pytest.raises(UsageError, match="the value of INSTALLDIR ends in a backslash"):
        quoting.msiexec_property("INSTALLDIR", "C:\\x\\")
    for path in ("", 'C:\\x".msi', "C:\\x\\"):
        with pytest.raises(UsageError, match="is not the path of a file of Windows"):
            quoting.msiexec_path(path)
