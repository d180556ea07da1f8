"""Which of a program's last lines says why it ended.

All of it is text that a package chose, to be shown and never trusted.
"""

import re
from collections.abc import Sequence
from itertools import takewhile

_LINES = 40
_MOST = 200
_NEAR = 4
"""How many lines there may be between an error and the text on the usage that follows it."""
_LONGEST = 500
_FEW_WORDS = 3
_STOPS = (".", ":", ";", ",", "!")


# What follows an error: frames of a stack (Java, JavaScript, Go, Python, Rust, Ruby, PHP, .NET), registers, what it is
# about, and how to see more of it.
_FRAME = re.compile(
    r"\s*at (?:async )?node:\S+$|\s*at .*\(node:\S*\)|Emitted 'error' event "
    r"|\s+[\w-]+: .*,$|\s+(?:code|errno|syscall|address|port|path|requireStack): "
    r"|.*\) \{$|[\s{}\],]*$|Require stack:|- /\S+$"
    r"|\s+from \S+:\d+:in |Stack trace:|#\d+ (?:/|\{main\}|\[internal)|\s*thrown in \S+ on line \d+$"
    r"|File name: '|\s+at .+:line \d+$"
    r"|(?:.{0,100}\s)?(?:HINT|DETAIL|CONTEXT|STATEMENT): |.*\bstill could not bind\(\)"
    r"|.*did not exit normally - check the log"
    r"|\s*at \S+[ (<].*:\d+|\s*at \S+\(|\s*\.\.\. \d+ more|goroutine \d+ |created by |\[signal "
    r"|[^\s(]+\.[^\s(]+(?:\(\*?\w+\)\.\w+)?\(.*\)$"
    r"|\s+\S+:\d+ \+0x|exit status \d+$|Node\.js v\d|stack backtrace:|\s*\d+: +0x|note: run with |note: Some details"
    r"|See (?:\"systemctl status|'systemctl status|system logs)|For help, see:"
    r"|(?:[^\s:]{1,80}: )?(?:[Tt]ry|Run|See|For more information,? try) ['\"`]?\S.* ?--?h(?:elp)?\b"
    r"|\s*dmesg\(1\) may have more information"
    r"|\s+\S+\.go:\d+(?: \+0x\S+)?$|[^\s(]+\.\(\*?[\w\[\].]+\)\.[\w.]+\(.*\)$"
    r"|\s+at \S+:\d+:\d+$|\s+\d+: (?:<.*>::\S+|\w+(?:::[^\s:]+)+|rust_begin_unwind|main|_start|__\w+)$"
    r"|\s+\([\w.-]+ \d[\w.-]*\) \S+:\d+: |Crash dump (?:is being )?written to|sys:1: \w+Warning: "
    r"|\s*\^+\s*$|\s*File \"|[-=*#~_.\s]*$"
)
_CARET = re.compile(r"\s*~*\^[\^~]*\s*$")
"""What is below the line of a source that an error is about, and marks the place in it."""
_WORD = re.compile(r"\w")
_CAUSES = "Caused by:"
"""What stands between an error of a Rust program and its causes, one in each line (anyhow, eyre)."""
_TELLS = re.compile(
    r"error|fatal|panic|fail|cannot|can't|can not|could not|couldn't|unable|not found|no such|denied|refused|invalid"
    r"|illegal|missing|not permitted|unknown|unexpected|exception|already in use|abort|undefined|unrecogni[sz]ed"
    r"|not defined|bad option|does not exist|doesn't exist|not exist|must |required|timed? ?out",
    re.IGNORECASE,
)


# By itself, or behind the names of a script and a program: `x.postinst: line 5: kill: usage: kill [-s sigspec]`.
_USAGE = re.compile(r"\s*(?:[^\s:]{1,200}: (?:(?:line )?\d{1,6}: )?){0,3}usage(?: of\b|:|$)", re.IGNORECASE)
_BY_PROGRAM = re.compile(r"[^\s:]{1,200}: \S")
"""How a program says what is wrong: its name, a colon, and the message (GNU Coding Standards, Errors)."""
_ERROR = re.compile(
    r"(?:[\w./-]+: )*(?:error|fatal|panic|cannot|unknown|invalid|unrecogni[sz]ed|failed)\b", re.IGNORECASE
)


# What a program says that works as it should.
_NOTICE = re.compile(
    r"\b(?:start(?:s|ed|ing)|listen(?:s|ing)|ready|running|loaded|loading|using|initiali[sz](?:ed|ing)|version|welcome"
    r"|v?\d+\.\d+\.\d+$|info|debug|notice)\b",
    re.IGNORECASE,
)
# How loggers mark lines: `2026-11-29 12:00:00 ERROR x`, `level=info msg=x`, `{"level":"warn"`.
_LEVEL = r"(?:.{{0,60}}?(?:^|[\s\[(|<]){}(?=[\s:\])|>]|$)|(?i:.{{0,100}}\blevel\"?[=:]\s?\"?{}\b))"
_SEVERE = re.compile(_LEVEL.format("(?:ERROR|FATAL|CRITICAL|PANIC|EMERG)", "(?:error|fatal|critical|panic)"))
_MILD = re.compile(_LEVEL.format("(?:WARN|WARNING|INFO|NOTICE|DEBUG|TRACE)", "(?:warn|warning|info|debug|trace)"))
_NAMES_ITSELF = re.compile(r"(?:[\w./-]+: )*(?:error|fatal|panic)\b", re.IGNORECASE)
_SUMS_UP = re.compile(r"test (?:has )?failed|compilation aborted|configuration of server failed", re.IGNORECASE)
_ONLY_ENDS = re.compile(
    r"(?:.*\W)?(?:shut(?:ting)? ?down|exit(?:ing|ed)?|bye|giving up|stopp(?:ed|ing)|terminat(?:ed|ing)|quit(?:ting)?"
    r"|closing|cleaning up)\b",
    re.IGNORECASE,
)


def end_of(output: str, lines: int = _LINES) -> str:
    """Return the last lines of what a program has printed."""
    return "\n".join(output.strip().splitlines()[-lines:])


def telling(lines: Sequence[str]) -> str:
    """Return the last line that is no frame of a stack; empty for none.

    If it only says that the program ends, such as `shutting down`, it is the last one before it that tells of an error,
    if there is one. If it is no error by its level, or tells of none, it is one before it that is marked as an error.
    `failed!` and the like has the line before it in front.
    """
    lines = _before_usage(lines[-_MOST:])
    followed = zip(lines, [*lines[1:], ""], strict=False)
    shown = [line[:_LONGEST] for line, following in followed if not _CARET.match(following[:_LONGEST])]
    said = [line for line in shown[-_LINES:] if not _FRAME.match(line)]
    said = said or [line[:_LONGEST] for line in lines[-_LINES:] if _WORD.search(line[:_LONGEST])][-1:]
    if not said:
        return ""
    if _CAUSES in said[1:]:
        place = len(said) - 1 - said[::-1].index(_CAUSES)
        causes = takewhile(lambda line: line[:1].isspace(), said[place + 1 :])
        return ": ".join(line.strip() for line in (said[place - 1], *map(_cause, causes)))[:_LONGEST]
    place = len(said) - 1
    if _SUMS_UP.search(said[place]) or (_ONLY_ENDS.match(said[place]) and not _TELLS.search(said[place])):
        place = next((n for n in reversed(range(place)) if _TELLS.search(said[n])), place)
    else:
        place = _marked(said, place)
    line = said[place].strip()
    if place and len(line.split()) < _FEW_WORDS and _TELLS.match(line):
        before = said[place - 1].strip()
        line = f"{before}{' ' if before.endswith(_STOPS) else ': '}{line}"
    return line


def _marked(said: Sequence[str], place: int) -> int:
    """Return the place of the line that is marked as an error, if the one at `place` is none."""
    is_mild = bool(_MILD.match(said[place]))
    if not is_mild and (_TELLS.search(said[place]) or _SEVERE.match(said[place])):
        return place
    before = range(0 if is_mild else max(place - _NEAR, 0), place)
    return next((n for n in reversed(before) if _SEVERE.match(said[n]) or _NAMES_ITSELF.match(said[n])), place)


def _cause(line: str) -> str:
    """Return one of the causes of an error without its number."""
    return re.sub(r"^\s*\d+: ", "", line)


def _before_usage(lines: Sequence[str]) -> Sequence[str]:
    """Return the lines up to the error that a text on the usage follows; all of them if the error comes after it.

    Without an error before it they end with the first line of the text, if nothing but that text comes after it.
    """
    begin = next((place for place in reversed(range(len(lines))) if _USAGE.match(lines[place][:_LONGEST])), None)
    if begin is None:
        return lines
    after = [line for line in lines[begin + 1 :] if line.strip() and not line.startswith((" ", "\t"))]
    if any(_ERROR.match(line[:_LONGEST]) for line in after):
        return lines
    near = range(max(begin - _NEAR, 0), begin)
    error = next((place for place in reversed(near) if _TELLS.search(lines[place][:_LONGEST])), None)
    if error is None:
        last = next((place for place in reversed(near) if lines[place].strip()), None)
        if last is not None and _BY_PROGRAM.match(lines[last]) and not is_notice(lines[last][:_LONGEST]):
            error = last
    if error is not None:
        return lines[: error + 1]
    program = _program(lines[begin])
    is_alone = all(_FRAME.match(line[:_LONGEST]) or line.split()[0] in (program, "or", "or:") for line in after)
    return lines[: begin + 1] if is_alone else lines


def _program(line: str) -> str:
    """Return whose usage a line tells."""
    words = line[:_LONGEST].lower().partition("usage")[2].strip(" :").split()
    return words[0] if words else ""


def tells(line: str) -> bool:
    """Return whether a line tells of an error."""
    return bool(_TELLS.search(line))


def is_notice(line: str) -> bool:
    """Return whether a line only says that the program does its work: `starting on port 80`."""
    return bool(_NOTICE.search(line)) and not tells(line)
