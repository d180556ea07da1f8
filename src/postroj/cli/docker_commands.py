"""Commands of docker and podman: what postroj calls them, and what serves instead of those that it does not have."""

import re
from collections.abc import Collection, Sequence

from postroj.cli.mistakes import unknown_options
from postroj.errors import UsageError

_VERBOSITY = r"-[vq]+|--verbose|--quiet"

_SAME = {
    "images": ["list-images"],
    "import": ["image", "import"],
    "inspect": ["image", "inspect"],
    "kill": ["stop"],
    "remove": ["stop"],
    "rm": ["stop"],
    "rmi": ["image", "rm"],
    "version": ["--version"],
}
"""Commands that have another name here."""

_END = "postroj stop NAME"
_BIND = "postroj run --bind=HOST:GUEST, --bind-ro=HOST:GUEST"
_PROBE = "postroj pkgprobe --image=IMAGE --package=PACKAGE"
_ANSWERS = {
    "attach": ("a machine has no session to attach to", "postroj shell NAME, postroj exec NAME COMMAND…"),
    "auto-update upgrade": ("images are updated by name", "postroj pull --update IMAGE…"),
    "bake build builder buildx farm": (
        "postroj builds no images",
        "build it with docker or podman, then: postroj run docker-archive:FILE",
    ),
    "check install probe": ("a package is installed and checked by pkgprobe", _PROBE),
    "checkpoint pause unpause": ("a machine cannot be stopped and resumed", _END),
    "cluster compose config generate kube node play pod quadlet secret service stack swarm": (
        "each command starts one machine",
        "machines that are started with the same --network=NAME reach each other by name",
    ),
    "commit diff": (
        "what a machine has written is discarded when it ends",
        "keep files by postroj cp or --bind=HOST:GUEST; an image of a directory: postroj image import DIRECTORY NAME",
    ),
    "container": ("there are no stopped machines to manage", "see `postroj ps` and `postroj run --help`"),
    "context machine": ("machines run on this host only", "postroj doctor says whether it can run them"),
    "create init": ("a machine is created and started by one command", "postroj run IMAGE -- COMMAND"),
    "df info system": ("there is no daemon to manage", "postroj doctor, postroj gc, postroj list-images --pulled"),
    "events": (
        "a machine tells what its journal has",
        "postroj ps lists them, postroj logs --follow NAME shows the journal of one",
    ),
    "export save": ("an image is written to a tarball by another command", "postroj image export IMAGE FILE"),
    "healthcheck": ("units and addresses are checked by pkgprobe", "postroj pkgprobe --check-unit=… --check-network=…"),
    "artifact history manifest": ("the layers of an image are not kept", "skopeo inspect docker://NAME:TAG"),
    "list ls": ("there are two lists", "images: postroj list-images; running machines: postroj ps"),
    "load": ("postroj reads docker's archives as they are", "postroj run docker-archive:FILE, or postroj image import"),
    "login logout": ("credentials are skopeo's, podman's or docker's own", "skopeo login REGISTRY"),
    "mount umount unmount unshare volume": ("there are no volumes: files of the host are bound", _BIND),
    "network": (
        "networks are chosen when a machine starts, and removed with the last one in them",
        "postroj run --network=private, none, host, or a name of your own to share one",
    ),
    "plugin": ("there are no plugins", "postroj --help"),
    "port": ("ports are published when a machine starts", "postroj run --publish=8080:80"),
    "prune": ("say what to remove", "postroj image prune --unused-for=30d; after a crash: postroj gc"),
    "push": ("postroj uploads nothing", "postroj image export IMAGE FILE writes a tarball"),
    "rename": ("a machine gets its name when it starts", "postroj run --name=NAME"),
    "restart start": ("there are no stopped machines to start", "postroj run IMAGE -- COMMAND"),
    "scan trust": ("postroj neither signs nor scans images", "postroj image verify IMAGE; NAME@sha256:… pins one"),
    "search": ("registries are not searched", "postroj list-images; any image of a registry: docker://…"),
    "stats top": (
        "postroj ps tells no loads",
        "postroj exec NAME top -bn1; on a host with systemd: machinectl status NAME, systemd-cgtop",
    ),
    "tag untag": (
        "an image gets its name when it is pulled or imported",
        "postroj image import TARBALL NAME, or an entry in images.toml",
    ),
    "update": (
        "limits are set when a machine starts",
        "postroj run --memory=2G --cpus=2; a newer image: postroj pull --update IMAGE",
    ),
    "wait": ("postroj run ends with its command, and with its exit status", "wait for it in the shell: `wait`"),
}
"""What is not there, and what serves instead."""

_INSTEAD = {word: answer for words, answer in _ANSWERS.items() for word in words.split()}
_BELOW: dict[str, tuple[dict[str, list[str]], Collection[str]]] = {
    "image": (
        {"list": ["list-images"], "ls": ["list-images"], "pull": ["pull"], "remove": ["image", "rm"]},
        ("build", "history", "load", "mount", "push", "save", "search", "tag", "trust", "unmount", "untag"),
    ),
    "container": (
        {"kill": ["stop"], "list": ["ps"], "ls": ["ps"], "remove": ["stop"], "rm": ["stop"]}
        | {word: [word] for word in ("cp", "exec", "logs", "ps", "run", "stop")},
        _INSTEAD.keys() - {"list", "ls"},
    ),
}
"""Words below `image` and `container`: those that have another name here, and those that something else serves for."""

_LEADING = ("-h", "--help", "--version", "-v", "--verbose", "-q", "--quiet")
"""Options that may stand before the command."""


def translate(words: Sequence[str]) -> list[str]:
    """Return the command line in postroj's own words, with -v and -q after the command.

    Raises UsageError for a command that postroj does not have, if another one serves.
    """
    verbosity, rest = _split(words)
    if rest and rest[0].startswith("-") and not _is_leading(rest[0]):
        raise UsageError(unknown_options([rest[0][:200]], _LEADING), hint="see `postroj --help`")
    if not rest or rest[0].startswith("-"):
        return list(words)
    if rest[0] == "help":
        return [*translate(rest[1:]), "--help"]
    command, rest = _SAME.get(rest[0], rest[:1]), rest[1:]
    if command in (["image"], ["container"]):
        more, rest = _split(rest)
        verbosity += more
        same, instead = _BELOW[command[0]]
        if rest and rest[0] in instead:
            command = rest[:1]
        elif rest and not rest[0].startswith("-"):
            command, rest = same.get(rest[0], [*command, rest[0]]), rest[1:]
    if command[0] in _INSTEAD:
        what, hint = _INSTEAD[command[0]]
        raise UsageError(f"there is no command '{' '.join(command)}': {what}", hint=hint)
    return [*command, *verbosity, *rest]


def _is_leading(word: str) -> bool:
    return word in _LEADING or re.fullmatch("-[vqh]+", word) is not None


def _split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split -v and -q off the beginning."""
    count = next((at for at, word in enumerate(words) if not re.fullmatch(_VERBOSITY, word)), len(words))
    return list(words[:count]), list(words[count:])
