"""The lines of a log of Windows Installer that say why it failed.

Source: "Logging of Action Return Values" (Microsoft Learn). An action that has failed ends with the value 3, and what
stands before that says why. The log comes from the guest: it is bounded, and shown only.
"""

import re

from postroj.lastwords import tells

MOST_BYTES = 32 * 1024 * 1024
"""What is read of a log."""
_MOST_LINES = 12
_BEFORE = 200
"""So many lines before the end of the action are looked at."""
_LONGEST = 500

_PREFIX = re.compile(r"^(?:MSI \([sc]\) \([0-9A-F]+[:!][0-9A-F]+\)(?: \[[\d:]+\])?: ?)+")
# `Action ended 14:46:39: InstallFiles. Return value 3.`; in other languages other words stand at the same places.
_ENDED = re.compile(r"^\D{1,60}\d{1,2}:\d{2}:\d{2}: (?P<action>[\w.-]{1,100})\. .{1,60}(?<!\d)3\.$")
_BEGAN = re.compile(r"^\D{1,60}\d{1,2}:\d{2}:\d{2}: (?P<action>[\w.-]{1,100})\.(?: |$)")
_NUMBERED = re.compile(r"(?:^|-- |: )(?P<text>(?:Error|Fehler|Erreur) \d{4}\b.*)")
_OF_PRODUCT = re.compile(r"^Product: .{1,200}? -- (?P<text>.+)")
_ACTUAL = re.compile(r"^CustomAction (?P<action>\S{1,100}) returned actual error code (?P<code>-?\d{1,10})\b")
_NOISE = re.compile(
    r"Note: 1: \d|Property|PROPERTY CHANGE|Ignoring|Skipping|Executing op|SELECT |Machine policy|User policy"
    r"|SOFTWARE RESTRICTION|RESTART MANAGER|Transforming table|Resolving|Action \d|DEBUG: Error 2\d{3}"
)


def decoded(log: bytes) -> str:
    """Return a log as text: UTF-16 as msiexec writes it, or what is in a log that was converted."""
    log = log[:MOST_BYTES]
    if log.startswith((b"\xff\xfe", b"\xfe\xff")):
        return log.decode("utf-16", "replace")
    if b"\0" in log[:200]:
        return log.decode("utf-16-le", "replace")
    return log.decode("utf-8-sig", "replace")


def telling(log: str) -> list[str]:
    """Return the lines that say most of why an installation failed; none if nothing in the log does.

    They end with the end of the first action that has failed.
    """
    lines = [_PREFIX.sub("", line.rstrip()[: 2 * _LONGEST])[:_LONGEST] for line in log.splitlines()]
    end = next((place for place, line in enumerate(lines) if _ENDED.match(line)), None)
    if end is None:
        return [line for line in lines if _NUMBERED.search(line) and not _NOISE.match(line)][-_MOST_LINES:]
    ended = _ENDED.match(lines[end])
    assert ended
    begin = max(0, end - _BEFORE)
    for place in reversed(range(begin, end)):
        began = _BEGAN.match(lines[place])
        if began and began["action"] == ended["action"]:
            begin = place + 1
            break
    before = [line for line in lines[begin:end] if line.strip() and not _NOISE.match(line)]
    said = [line for line in before if tells(line) or _OF_PRODUCT.match(line)] or before[-_MOST_LINES // 2 :]
    return [*dict.fromkeys(said[-_MOST_LINES:]), lines[end]]


def reason(log: str) -> str:
    """Return in one line why an installation failed; empty if the log does not say."""
    lines = telling(log)
    for line in lines:
        if numbered := _NUMBERED.search(line):
            return " ".join(numbered["text"].split())
    for line in lines:
        if of_product := _OF_PRODUCT.match(line):
            return " ".join(of_product["text"].split())
    ended = _ENDED.match(lines[-1]) if lines else None
    if not ended:
        return ""
    actual = next(filter(None, map(_ACTUAL.match, lines)), None)
    said = next((line for line in reversed(lines[:-1]) if tells(line) and not _ACTUAL.match(line)), "")
    told = f"the action {ended['action']} failed"
    if actual:
        told = f"the custom action {actual['action']} failed with {actual['code']}"
    return f"{told}: {' '.join(said.split())}" if said else told
