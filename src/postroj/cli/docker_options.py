"""Options of docker and podman that postroj does not have, and what serves instead: by the command's name."""

import re

from postroj.errors import UsageError

_VOLUME = re.compile(r"[./~][^:]*:/")
"""What is written after -v."""

_MACHINE = {
    "--add-host": "machines on the same --network=NAME find each other by name; for other names bind an /etc/hosts",
    "--attach -a": "standard output and error are always passed on; standard input by --interactive on a terminal",
    "--cap-add": "use --capability",
    "--cap-drop --security-opt": "a machine has a user namespace and few capabilities in any case",
    "--cgroupns --ipc --pid --userns --uts": "a machine has namespaces of its own; --privileged gives up isolation",
    "--cidfile --pidfile": "a machine has the name that --name gives it",
    "--cpu-quota --cpu-period --cpu-shares": "use --cpus",
    "--cpuset-cpus --cpuset-mems": "use --cpus for a limit, or run postroj by taskset",
    "--detach -d": "a machine ends with its postroj: put `&` behind the command line",
    "--device": "a machine has /dev/fuse and /dev/net/tun, and no other device of the host",
    "--dns --dns-search --dns-option": "a machine asks the host's name servers",
    "--entrypoint": "write the command after the image",
    "--env-file": "variables are given one by one: --env=NAME=VALUE",
    "--expose --publish-all -P": "name each port: --publish=HOST_PORT:PORT",
    "--gpus": "a machine has no graphics card",
    "--group-add": "a user has the groups of the guest's /etc/group",
    "--health-cmd --health-interval --no-healthcheck": "units and addresses are checked by `postroj pkgprobe`",
    "--hostname": "use --name",
    "--init": "a machine boots systemd, which reaps processes",
    "--ip --mac-address": "addresses are given by postroj",
    "--label -l --annotation": "machines have no labels",
    "--link --network-alias": "machines on the same --network=NAME find each other by name",
    "--log-driver --log-opt": "a command's output is that of postroj: redirect it",
    "--memory-swap --memory-reservation -m": "use --memory",
    "--mount --volume --volumes-from": "use --bind or --bind-ro",
    "--net": "use --network",
    "--oom-kill-disable --oom-score-adj": "use --memory",
    "--pids-limit": "use --tasks",
    "--platform": "an image for another architecture cannot run here: `postroj pull --platform=…` only downloads it",
    "--pull": "an image is pulled if it is not here; `postroj pull --update IMAGE` pulls it again",
    "--read-only": "what a machine writes is discarded in any case; single directories by --bind-ro",
    "--restart": "a machine runs its command once: repeat it in the shell, or by Restart= of a unit",
    "--runtime": "machines are run by systemd-nspawn",
    "--shm-size --tmpfs": "/tmp and /dev/shm are in memory already; --memory and --disk are the limits",
    "--sig-proxy --stop-signal --stop-timeout": "a signal to postroj ends the machine",
    "--storage-opt": "use --disk",
    "--sysctl": "set it in the machine, by sysctl; many need --privileged",
    "--ulimit": "set it in the command: sh -c 'ulimit -n 1024; exec …'",
}
_LISTED = "all are listed in any case"
_OTHERS = {
    "run": {"--it --ti": "use -it"},
    "pkgprobe": {
        "-p": "--publish=HOST_PORT:PORT is for a port, --package=PACKAGE for a package",
        "--env -e --env-file": "a service's environment is its unit's matter; a command's is `postroj run --env`",
        "--bind --bind-ro": "files are bound by `postroj run --bind`; packages are given by --package",
    },
    "pull": {
        "--all-tags -a": "name each tag, as in fedora:43; --all pulls the images of the catalogue",
        "--disable-content-trust": "signatures of images are not checked; NAME@sha256:… pins one",
    },
    "ps": {
        "--all -a": "all machines run, as they are removed when they end",
        "--filter -f --last -n --latest -l --no-trunc --size -s": "machines are printed, one a line: use grep",
    },
    "exec": {
        "--detach -d": "put `&` behind the command line; or systemd-run in the machine",
        "--env-file": "variables are given one by one: --env=NAME=VALUE",
        "--privileged": "a command has what its machine has: `postroj run --privileged`",
    },
    "logs": {
        "--details --timestamps -t": "journalctl prints times: postroj exec NAME journalctl -o verbose",
        "--since --until": "the guest's journalctl has it: postroj exec NAME journalctl --since=…",
    },
    "cp": {
        "--archive -a": "what is copied into a machine is its root's, what is copied out of it is yours",
        "--follow-link -L": "a link that is named is followed, links in a directory are copied",
        "--quiet -q": "nothing is told of what is copied",
    },
    "stop": {
        "--force -f --volumes -v": "nothing is asked, and nothing of a machine is left",
        "--signal -s --time -t --timeout": "a machine is removed at once; `systemctl poweroff` in it shuts it down",
    },
    "list-images": {
        "--all -a": _LISTED,
        "--filter -f": "--family, --pulled, --supported and --end-of-life choose",
        "--digests --no-trunc": "`postroj image inspect IMAGE` prints digests",
    },
    "image rm": {
        "--all -a": "name the images; `postroj image prune --older-than=0d` removes all",
        "--force -f": "an image is removed also while machines run from it, which keep theirs",
        "--no-prune": "an image has no parents",
    },
    "image prune": {
        "--all -a": "--older-than=0d removes all images",
        "--force -f": "nothing is asked",
        "--filter": "--older-than=30d and --unused-for=30d choose",
    },
    "image inspect": {"--format -f": "it prints JSON: use jq"},
    "image import": {
        "--change -c --message -m": "an image has no settings: units and files of it are its own",
        "--platform": "an image is for the architecture of its files",
    },
    "image export": {"--output -o": "write the file after the image: postroj image export IMAGE FILE"},
}


def instead(command: str, option: str) -> str:
    """Return what serves instead of an option, as a clause; empty if that is not known."""
    tables = [_OTHERS.get(command, {}), _MACHINE if command in ("run", "pkgprobe") else {}]
    return next((told for table in tables for options, told in table.items() if option in options.split()), "")


def check_volume(image: str) -> None:
    """Raise UsageError for an image that is what docker takes after -v, which is --verbose here."""
    if _VOLUME.match(image):
        raise UsageError(
            f"'{image[:200]}' is taken for the image, as -v is --verbose",
            hint=f"to bind a file or directory: --bind={image[:200]}, or --bind-ro",
        )
