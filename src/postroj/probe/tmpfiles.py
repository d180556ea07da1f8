"""Files of tmpfiles.d(5) that came with a package, and that nobody has applied."""

from postroj.contract import Machine
from postroj.probe import evidence

_DIRECTORIES = ("/usr/lib/tmpfiles.d", "/etc/tmpfiles.d")
_MOST = 100
_MAKES = "[dDvqQfFpL][^!^[:space:]]*[[:space:]]"
"""Lines that make their path whenever they are applied; `!` is for a boot, and `^` for a credential."""


def not_applied(machine: Machine, text: str) -> str:
    """Return, as a clause, a path that a package's file of tmpfiles.d is to make, and that does not exist.

    `text` is the error of a program: if it names a path, only one on the way to it, or below it, counts.
    """
    found = evidence.ask(machine, ["find", *_DIRECTORIES, "-name", "*.conf"]).splitlines()
    files = evidence.brought(machine, [one for one in found if one.startswith(_DIRECTORIES)])[:_MOST]
    grep = ["grep", "-HE", f"^{_MAKES}", "--", *files]
    lines = [line.partition(":") for line in evidence.ask(machine, grep).splitlines()[:_MOST]] if files else []
    made = [(file, words[1]) for file, _, entry in lines if len(words := entry.split()) > 1 and words[1][0] == "/"]
    made = [(file, path) for file, path in made if "%" not in path and _is_about(path, text)]
    if not made:
        return ""
    script = 'for one; do test -e "$one" || test -L "$one" || echo "$one"; done'
    absent = evidence.ask(machine, ["sh", "-c", script, "sh", *(path for _, path in made)]).splitlines()
    file, path = next(((file, path) for file, path in made if path in absent), ("", ""))
    if not path:
        return ""
    return f"{path} does not exist: {file} was never applied: call systemd-tmpfiles --create in the postinst"


def _is_about(path: str, text: str) -> bool:
    """Return whether a text names a path, one below it or one above it, or none at all."""
    named = [word.strip("'\"`(),:;[]") for word in text.split() if "/" in word]
    paths = [word for word in named if word.startswith("/")]
    return not paths or any(one.startswith(path) or path.startswith(f"{one.rstrip('/')}/") for one in paths)
