"""Source `docker://REGISTRY/NAME:TAG`: an image from an OCI registry, by skopeo and umoci.

Mirrors, insecure registries and credentials are the user's own: containers-registries.conf(5), containers-auth.json(5).
"""

import os
import shutil

from postroj import process


def fetch(reference: str, tree: str, subject: str) -> None:
    """Make the tree's `root`. Raises MissingToolError, ToolError."""
    process.require("skopeo", "umoci")
    layout, bundle = os.path.join(tree, "layout"), os.path.join(tree, "bundle")
    env = process.environment(TMPDIR=tree)
    process.follow(
        ["skopeo", "copy", "--override-os=linux", reference, f"oci:{layout}:image"], subject=subject, env=env
    )
    process.follow(["umoci", "unpack", "--image", f"{layout}:image", bundle], subject=subject, env=env)
    os.rename(os.path.join(bundle, "rootfs"), os.path.join(tree, "root"))
    shutil.rmtree(layout)
    shutil.rmtree(bundle)
