"""The commands that a shell script calls, and the files that it tests for: which of them the guest does not have.

It is asked after a failure only. A script is read, not run: what its variables are is known of simple assignments only.
"""

import re
import shlex
from collections.abc import Callable, Sequence

_LONGEST = 64 * 1024
_LONGEST_LINE = 2000
_MOST = 200
_SHOWN = 3
_BEGINS = frozenset(["if", "then", "else", "elif", "do", "while", "until", "!", "{", "exec", "time"])
"""Words that a command may follow."""
_NO_COMMANDS = frozenset(["fi", "done", "esac", "}", "for", "case", "select", "function", "in", "return"])
_NAME = re.compile(r"[A-Za-z_./][\w./+-]*")
_ASSIGNMENT = re.compile(r"\w+\+?=")
_HEREDOC = re.compile(r"<<-?\s*[\"'\\]?(\w+)")
_COMMENT = re.compile(r"(?m)^[ \t]*#.*$|\s#\s[^'\"\n]*$")
_SUBSTITUTION = re.compile(r"\$\(\s*([\w./+-]+)")
_VALUE = re.compile(r"""(?m)^[ \t]*(?:export[ \t]+|readonly[ \t]+)?(\w+)=["']?([\w./@+-]+)["']?[ \t]*(?:;|$)""")
_FUNCTION = re.compile(r"(?m)^[ \t]*(?:function[ \t]+)?([\w-]+)[ \t]*\(\)|^[ \t]*function[ \t]+([\w-]+)")
_GUARD = re.compile(r"(?:command\s+-v|which|type|hash|-x)\s+[\"']?([\w./+-]+)")
_TESTED = re.compile(r"(?:\[|test)\s+(?:!\s+)?-[xf]\s+[\"']?([^\s\"'\]]+)")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_LACKING = """
for one; do
    case $one in
        */*) test -e "$one" || { echo "127 $one"; continue; }; test -d "$one" || test -x "$one" || echo "126 $one" ;;
        *) command -v "$one" >/dev/null 2>&1 || echo "127 $one" ;;
    esac
done
"""

_OF_DAEMONS = re.compile(
    r"(?i)daemon|\bpid|[._]pid\b|processname:|startproc|killproc|\bpgrep\b|\bkill\b|\bsu\b|runuser|\bnohup\b|\bsetsid\b"
    r"|(?<![&>])&(?![&>0-9-])"
)
_HEADER = re.compile(r"(?m)^#[ \t]*(?:processname|pidfile):")
_EARLY = re.compile(r"(?m)^#[ \t]*Default-Start:[ \t]*S[ \t]*$")
"""What update-rc.d(8) reads: as sysinit.target."""
_OF_KERNEL = re.compile(
    r"(?m)(?:^|[;)]|\b(?:then|do|else)\b)[ \t]*(?:ip6?tables(?:-restore)?|nft|ipset|sysctl|swapon|hdparm|ethtool)[ \t]"
    r"|>[ \t]*[\"']?(?:/(?:proc/)?sys/|\$)|for \w+ in /sys/"
)
Ask = Callable[[Sequence[str]], str]
"""Returns what a command of the guest prints."""


def lacking(ask: Ask, script: str, status: int = 127) -> str:
    """Return, as a clause, the commands of a script that the guest does not have, or that cannot be executed (126)."""
    names = called(script)
    if not names:
        return ""
    shell = "bash" if "bash" in script.partition("\n")[0] else "sh"
    lines = [line.split(" ", 1) for line in ask([shell, "-c", _LACKING, shell, *names]).splitlines() if " " in line]
    found = [name for number, name in lines if number == str(status) and name in names][:_SHOWN]
    if not found:
        return ""
    shown, is_one = " and ".join(found), len(found) == 1
    if status == 126:
        return f"{shown} {'is' if is_one else 'are'} not executable"
    if all("/" in name for name in found):
        return f"{shown} {'does' if is_one else 'do'} not exist"
    packages = "its package" if is_one else "their packages"
    return f"{shown} {'is' if is_one else 'are'} not there; {packages} may be missing in the dependencies"


def leaves_no_process(script: str) -> bool:
    """Return whether an init script is one that leaves no process.

    It is for an early boot (runlevel S), or has the kernel's settings as its work, and speaks of no daemon.
    """
    text = _COMMENT.sub("", script[:_LONGEST])
    if _HEADER.search(script[:_LONGEST]) or _OF_DAEMONS.search(text):
        return False
    programs = [name for name in called(script) if name.startswith(("/opt/", "/usr/", "/srv/"))]
    return not programs and bool(_EARLY.search(script[:_LONGEST]) or _OF_KERNEL.search(text))


def untested(ask: Ask, script: str) -> str:
    """Return a file that a script tests for, and that is not there; empty for none."""
    values = _values(script)
    paths = [_replaced(found, values) for found in _TESTED.findall(_cut(script))][:_MOST]
    paths = [path for path in dict.fromkeys(paths) if path.startswith("/") and "$" not in path]
    shown = ask(["sh", "-c", 'for one; do test -e "$one" || echo "$one"; done', "sh", *paths]) if paths else ""
    return next((line for line in shown.splitlines() if line in paths), "")


def called(script: str) -> list[str]:
    """Return the commands that a script calls, each once, but those that it looks for itself, and its functions."""
    text = _cut(script)
    values = _values(script)
    own = {name for pair in _FUNCTION.findall(text) for name in pair if name}
    guarded = {_replaced(name, values) for name in _GUARD.findall(text)}
    names = [_replaced(word, values) for word in [*_of_statements(text), *_SUBSTITUTION.findall(text)]]
    found = dict.fromkeys(name for name in names if _NAME.fullmatch(name) and "=" not in name)
    return [name for name in found if name not in own and name not in guarded][:_MOST]


def _cut(script: str) -> str:
    """Return a script without comments and here-documents."""
    lines: list[str] = []
    end = ""
    for line in (line[:_LONGEST_LINE] for line in script[:_LONGEST].splitlines()):
        if end:
            end = "" if line.strip() == end else end
            continue
        lines.append(line)
        if found := _HEREDOC.search(line):
            end = found[1]
    return _COMMENT.sub("", "\n".join(lines)).replace("\\\n", " ")


def _values(script: str) -> dict[str, str]:
    return dict(_VALUE.findall(script[:_LONGEST]))


def _replaced(word: str, values: dict[str, str]) -> str:
    """Return a word with the variables replaced that have a simple value."""
    return _VARIABLE.sub(lambda found: values.get(found[1] or found[2], found[0]), word)


def _tokens(text: str) -> list[str]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.commenters = ""
    lexer.whitespace = " \t\r"
    lexer.wordchars += "$%{}[]:,@!+^#"
    tokens = []
    try:
        for token in iter(lexer.get_token, lexer.eof):
            if token is None:
                break
            tokens.append(token)
    except ValueError:  # a quotation that is not closed: what came before counts
        pass
    return tokens


def _of_statements(text: str) -> list[str]:
    """Return the first word of each command; those before the `)` of a case are patterns."""
    found: list[str] = []
    begins, depth, line = True, 0, 0
    skips = False
    for token in _tokens(text):
        if token == "||" and not begins:
            del found[-1:]  # if it fails, the script goes on
        if token == "\n" or set(token) <= set(";&|()`"):
            for character in token:
                if character == "(":
                    depth += 1
                elif character == ")" and depth:
                    depth -= 1
                elif character == ")":
                    del found[line:]
                if character in "\n;":
                    line = len(found)
            begins, skips = True, False
        elif skips or not begins:
            continue
        elif token in _NO_COMMANDS:
            skips = True
        elif token not in _BEGINS and not _ASSIGNMENT.match(token):
            begins = False
            found.append(token)
    return found
