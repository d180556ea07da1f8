"""A command that a host has passed on to its Linux VM, in the VM: `vm/host/passed.py` is the other side.

It is run by `unshare --mount`, with a directory as its argument, which it locks until it ends. What is shared is
mounted where it is on the host.
"""

import fcntl
import json
import os
import subprocess
import sys

import postroj.cli


def main(directory: str) -> None:
    """Run the command, and exit with its status."""
    fcntl.flock(os.open(directory, os.O_RDONLY), fcntl.LOCK_EX)
    with open(os.path.join(directory, "request")) as file:
        request = json.load(file)
    for number, path in enumerate(request["shares"]):
        os.makedirs(path, exist_ok=True)
        subprocess.run(["mount", "--bind", os.path.join(directory, "shares", str(number)), path], check=True)
    for name in ("began", "pid"):
        with open(os.path.join(directory, name), "w") as file:
            file.write(f"{os.getpid()}\n")
    os.environ.update(request["environment"])
    os.chdir(request["directory"])
    sys.argv = ["postroj", *request["words"]]
    postroj.cli.main()


if __name__ == "__main__":
    main(sys.argv[1])
