"""Small RPM and Arch Linux packages, built by the real nfpm: each with a service that behaves as a test wants it to."""

import json
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from debs import GOOD

STOPPED = "sh -c 'kill -STOP $$'"
"""A script that does not end, and of which it is not said that it hangs: a process that is stopped does not sleep."""

_NFPM = str(Path(sys.executable).with_name("nfpm"))

_UNIT = """[Unit]
Description=Test service {name}

[Service]
ExecStart=/usr/libexec/{name}
{settings}

[Install]
WantedBy=multi-user.target
"""

# nfpm has them at three places, and names them by its own words.
_COMMON = {"pre": "preinstall", "post": "postinstall", "preun": "preremove", "postun": "postremove"}
_OF_RPM = {"pretrans": "pretrans", "posttrans": "posttrans"}
_OF_ARCH = {"pre_upgrade": "preupgrade", "post_upgrade": "postupgrade"}


def build(
    directory: Path,
    name: str,
    *,
    packager: str = "rpm",
    version: str = "1.0.0",
    release: str = "1",
    architecture: str = "all",
    service: str | None = GOOD,
    unit: Mapping[str, str] | None = None,
    scripts: Mapping[str, str] | None = None,
    files: Mapping[str, str] | None = None,
    config: Mapping[str, str] | None = None,
    depends: Sequence[str] = (),
    conflicts: Sequence[str] = (),
    recommends: Sequence[str] = (),
    fields: Mapping[str, Any] | None = None,
) -> Path:
    """Build a package in `directory` and return its path; `packager` is nfpm's word for its format: rpm, archlinux.

    `service` is the shell script that the unit NAME.service runs, None for a package without a unit; `unit` adds
    settings to its section [Service]. `scripts` are shell scripts, by rpm's words for them (pre, post, preun, postun,
    pretrans, posttrans), or libalpm's pre_upgrade and post_upgrade. `files` are more files, by their path: what begins
    with #! can be executed; `config` are those that are marked as configuration. `fields` are more fields of nfpm's.
    """
    tree = directory / f"tree-of-{packager}-{name}-{version}-{release}"
    tree.mkdir(parents=True)
    written = {path: (text, "") for path, text in (files or {}).items()}
    written |= {path: (text, "config|noreplace") for path, text in (config or {}).items()}
    if service is not None:
        settings = "\n".join(f"{key}={value}" for key, value in (unit or {}).items())
        written[f"/usr/libexec/{name}"] = f"#!/bin/sh\n{textwrap.dedent(service)}\n", ""
        written.setdefault(f"/usr/lib/systemd/system/{name}.service", (_UNIT.format(name=name, settings=settings), ""))
    contents = []
    for number, (path, (text, kind)) in enumerate(written.items()):
        (tree / f"file-{number}").write_text(text)
        info = {"mode": 0o755 if text.startswith("#!") else 0o644, "mtime": "2026-01-01T00:00:00Z"}
        contents.append({"src": f"file-{number}", "dst": path, "type": kind, "file_info": info})
    scripted: dict[str, dict[str, str]] = {"": {}, "rpm": {}, "archlinux": {}}
    for word, text in (scripts or {}).items():
        (tree / f"script-{word}").write_text(f"{textwrap.dedent(text)}\n")
        for place, names in (("", _COMMON), ("rpm", _OF_RPM), ("archlinux", _OF_ARCH)):
            if word in names:
                scripted[place][names[word]] = f"script-{word}"
    described: dict[str, Any] = {
        "name": name,
        "arch": architecture,
        "version": version,
        "release": release,
        "maintainer": "Nobody <nobody@example.org>",
        "description": "a package under test",
        "license": "none",
        "contents": contents,
        "depends": list(depends),
        "conflicts": list(conflicts),
        "recommends": list(recommends),
        "scripts": scripted[""],
        "rpm": {"scripts": scripted["rpm"]},
        "archlinux": {"scripts": scripted["archlinux"]},
    }
    for key, value in (fields or {}).items():
        described[key] = {**described[key], **value} if key in ("rpm", "archlinux") else value
    (tree / "nfpm.yaml").write_text(json.dumps(described))  # which is YAML as well
    target = tree / "built"
    target.mkdir()
    command = [_NFPM, "package", "--packager", packager, "--target", str(target)]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = target.iterdir()
    return built.rename(directory / built.name)
