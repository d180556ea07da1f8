"""The words that users of docker and podman type first, and what postroj calls them."""

import re
from collections.abc import Collection, Sequence

from postroj.errors import UsageError

_VERBOSITY = re.compile(r"-[vq]+|--verbose|--quiet")

_SAME = {
    "images": ["list-images"],
    "inspect": ["image", "inspect"],
    "rmi": ["image", "rm"],
    "version": ["--version"],
}
"""Commands that have another name here."""

_SAME_IMAGE = {"ls": ["list-images"], "list": ["list-images"], "pull": ["pull"], "remove": ["image", "rm"]}
"""The same below `image`."""

_ENTER = "on a host with systemd: machinectl shell NAME; `postroj run -it IMAGE bash` starts a new machine with a shell"
_END = "interrupt the postroj that runs it (Ctrl-C), or on a host with systemd: machinectl terminate NAME"
_INSTEAD = {
    "attach": ("a machine has no session to attach to", _ENTER),
    "build": ("postroj builds no images", "build it with docker or podman, then: postroj run docker-archive:FILE"),
    "container": ("there are no stopped machines to manage", "see `postroj ps` and `postroj run --help`"),
    "exec": ("a machine runs the command that it was started for", _ENTER),
    "kill": ("a machine ends with its command", _END),
    "load": ("postroj reads docker's archives as they are", "postroj run docker-archive:FILE, or postroj image import"),
    "login": ("credentials are skopeo's, podman's or docker's own", "skopeo login REGISTRY"),
    "logs": ("a machine's output is that of its command", "on a host with systemd: journalctl --machine=NAME"),
    "prune": ("say what to remove", "postroj image prune --unused-for=30d; after a crash: postroj gc"),
    "push": ("postroj uploads nothing", "postroj image export IMAGE FILE writes a tarball"),
    "rm": (
        "machines are removed when their command ends",
        "an image: postroj image rm; after a crash: postroj gc",
    ),
    "save": ("an image is written to a tarball by another command", "postroj image export IMAGE FILE"),
    "search": ("registries are not searched", "postroj list-images; any image of a registry: docker://…"),
    "shell": ("a shell is started as any other command", _ENTER),
    "start": ("there are no stopped machines to start", "postroj run IMAGE -- COMMAND"),
    "stop": ("a machine ends with its command", _END),
    "system": ("there is no daemon to manage", "postroj doctor, postroj gc"),
}
"""What is not there, and what serves instead."""

_OPTIONS = {
    "--cpu-shares": "use --cpus",
    "--detach": "a machine ends with its postroj: put `&` behind the command line",
    "--entrypoint": "write the command after the image",
    "--hostname": "use --name",
    "--mount": "use --bind or --bind-ro",
    "--net": "use --network",
    "--pids-limit": "use --tasks",
    "--volume": "use --bind or --bind-ro",
    "-d": "a machine ends with its postroj: put `&` behind the command line",
    "-m": "use --memory",
}
"""Options of `docker run`."""


def translate(words: Sequence[str]) -> list[str]:
    """Return the command line in postroj's own words, with -v and -q after the command.

    Raises UsageError for a command that postroj does not have, if another one serves.
    """
    verbosity, rest = _split(words)
    if not rest or rest[0].startswith("-"):
        return list(words)
    if rest[0] == "help":
        return [*translate(rest[1:]), "--help"]
    if rest[0] in _INSTEAD:
        what, hint = _INSTEAD[rest[0]]
        raise UsageError(f"there is no command '{rest[0]}': {what}", hint=hint)
    command, rest = _SAME.get(rest[0], rest[:1]), rest[1:]
    if command == ["image"]:
        more, rest = _split(rest)
        verbosity += more
        if rest and not rest[0].startswith("-"):
            command, rest = _SAME_IMAGE.get(rest[0], ["image", rest[0]]), rest[1:]
    return [*command, *verbosity, *rest]


def _split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split -v and -q off the beginning."""
    count = next((at for at, word in enumerate(words) if not _VERBOSITY.fullmatch(word)), len(words))
    return list(words[:count]), list(words[count:])


def unknown_command(word: str, known: Collection[str]) -> str:
    """Return one sentence about a command that is not known, with the nearest that is."""
    return f"unknown command '{word[:80]}'{_nearest(word, known)}"


def unknown_arguments(words: Sequence[str], known: Collection[str]) -> str:
    """Return one sentence about arguments that are not known, with what serves instead of the first."""
    first = words[0].partition("=")[0]
    if not first.startswith("-"):
        return f"unexpected arguments: {' '.join(words)}"
    instead = f": {_OPTIONS[first]}" if first in _OPTIONS else _nearest(first, known)
    return f"unknown options: {' '.join(words)}{instead}"


def _nearest(word: str, known: Collection[str]) -> str:
    import difflib  # only after a mistake

    near = difflib.get_close_matches(word, known, n=1, cutoff=0.65)
    return f": did you mean {near[0]}?" if near else ""
