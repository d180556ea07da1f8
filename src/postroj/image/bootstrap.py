"""Source `bootstrap:SUITE`: a Debian tree from the signed archive, by mmdebstrap, which finds the archive itself."""

import os

from postroj import process

# mount is in no dependency of systemd's since Debian 14, and systemd cannot boot without it
_PACKAGES = "systemd,systemd-sysv,dbus,mount"


def fetch(suite: str, tree: str, subject: str) -> None:
    """Make the tree's `root`. Raises MissingToolError, ToolError."""
    process.require("mmdebstrap")
    command = [
        "mmdebstrap",
        "--mode=root",
        "--variant=apt",
        f"--include={_PACKAGES}",
        suite,
        os.path.join(tree, "root"),
    ]
    # TMPDIR: what a kill leaves there is swept up with the tree.
    process.follow(command, subject=subject, env=process.environment(TMPDIR=tree))
