"""The host as it would be without a tool, or with a full disk: in a mount namespace that only one command sees."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from support import POSTROJ

_PLACES = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


def without_tool(tool: str, words: Sequence[str], env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run postroj where a host program is not there: something that cannot be executed lies over it."""
    places = [*os.environ["PATH"].split(":"), *_PLACES]
    found = {os.path.realpath(path) for place in places if Path(path := os.path.join(place, tool)).exists()}
    hidden = "".join(f"mount --bind /dev/null '{path}'\n" for path in sorted(found))
    return privately(hidden, words, env)


def with_small_disk(
    directory: Path, options: str, words: Sequence[str], env: dict[str, str]
) -> "subprocess.CompletedProcess[str]":
    """Run postroj with a small file system (options: tmpfs(5)) at a directory; what is left in it is listed after.

    The list follows on standard output, each line `left: PATH`.
    """
    listing = f"find '{directory}' -mindepth 1 -maxdepth 4 -printf 'left: %P\\n'"
    return privately(f"mount -t tmpfs -o {options} tmpfs '{directory}'", words, env, listing)


def with_old_keyring(words: Sequence[str], env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run postroj where the keyring of Debian's archive is that of Debian 11, and apt trusts nothing else."""
    keyrings = "/usr/share/keyrings"
    hidden = f"mount --bind {keyrings}/debian-archive-bullseye-automatic.gpg {keyrings}/debian-archive-keyring.gpg\n"
    return privately(hidden + "mount -t tmpfs tmpfs /etc/apt/trusted.gpg.d", words, env)


def privately(
    before: str, words: Sequence[str], env: dict[str, str], after: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Run postroj in a mount namespace of its own, after shell commands `before` in it, and before others."""
    script = f'set -e\n{before}\nstatus=0; "$@" || status=$?\n{after}\nexit $status'
    command = ["unshare", "--mount", "--propagation", "private", "--", "sh", "-c", script, "sh", POSTROJ, *words]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=env, timeout=300)
