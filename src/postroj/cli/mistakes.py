"""What is said of commands and arguments that are not known."""

from collections.abc import Collection, Sequence

from postroj.nearest import did_you_mean


def unknown_command(word: str, known: Collection[str]) -> str:
    """Return one sentence about a command that is not known, with the nearest that is."""
    return f"unknown command '{word[:80]}'{_nearest(word, known)}"


def unknown_arguments(command: str, words: Sequence[str], known: Collection[str]) -> str:
    """Return one sentence about arguments of a command that are not known, with what serves instead of the first."""
    if words[0].startswith("-"):
        return unknown_options(words, known, command)
    meant = f": did you mean --package={words[0]}?" if "--package" in known else ""
    return f"unexpected arguments: {' '.join(words)}{meant}"


def unknown_options(words: Sequence[str], known: Collection[str], command: str = "") -> str:
    """Return one sentence about options that are not known; `command` is that of which they are, if it is of one."""
    from postroj.cli import docker_options  # only after a mistake

    first = words[0].partition("=")[0]
    # A short option may have its value right behind it: -p80.
    told = docker_options.instead(command, first if first.startswith("--") else first[:2])
    return f"unknown options: {' '.join(words)}{f': {told}' if told else _nearest(first, known)}"


def _nearest(word: str, known: Collection[str]) -> str:
    question = did_you_mean(word, known)
    return question and f": {question}"
