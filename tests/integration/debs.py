"""Small Debian packages, built by the real dpkg-deb: each with a service that behaves as a test wants it to."""

import os
import subprocess
import textwrap
from collections.abc import Mapping
from pathlib import Path

GOOD = "exec sleep infinity"
"""A service that starts and stays."""

SERVER = """exec perl -MIO::Socket::INET -e '
    my $server = IO::Socket::INET->new(LocalPort => $ARGV[0], Listen => 5, ReuseAddr => 1) or die "no port: $!";
    while (my $client = $server->accept) {
        while (<$client>) { last if /^\\r?$/ }
        print $client "HTTP/1.0 200 OK\\r\\nContent-Type: text/plain\\r\\n\\r\\nhello\\n";
        close $client;
    }
' 8080
"""
"""A service that speaks HTTP on port 8080, with nothing but what each Debian has (perl-base)."""

# What debhelper's dh_installsystemd puts into a package whose service starts on installation.
_POSTINST = """
if [ "$1" = configure ]; then
    {enable} {unit} >/dev/null || true
    systemctl --system daemon-reload >/dev/null || true
    {start} {unit} >/dev/null || true
fi
"""


def build(
    directory: Path,
    name: str,
    *,
    service: str | None = GOOD,
    unit: Mapping[str, str] | None = None,
    postinst: str = "",
    start: str = "deb-systemd-invoke start",
    enable: bool = True,
    fields: Mapping[str, str] | None = None,
    compression: str = "xz",
    payload: bytes = b"",
    file_name: str = "",
    files: Mapping[str, str] | None = None,
    control: Mapping[str, str] | None = None,
    scripts: Mapping[str, str] | None = None,
    owner: int = 0,
    links: Mapping[str, str] | None = None,
) -> Path:
    """Build NAME_1.0_all.deb (or `file_name`) in `directory` and return its path.

    `service` is the shell script that the unit NAME.service runs, None for a package without a unit; `unit` adds
    settings to its section [Service]; `postinst` is what its maintainer script does before it starts the unit, as
    debhelper's does, by the command `start`, and enables it unless `enable` is false; `fields` are more control
    fields; `payload` is put into a file, to give the package a size. `files` are more files, by their path: what begins
    with #! can be executed; one at the path of the unit takes its place. `control` are more files beside the control
    file, `scripts` maintainer scripts besides the postinst. All of it belongs to the UID `owner`. `links` are symbolic
    links, what they lead to by their path.
    """
    tree = directory / f"tree-of-{name}"
    script, metadata = tree / "usr/libexec" / name, tree / "DEBIAN"
    for parent in (metadata, script.parent, tree / "lib/systemd/system", tree / "usr/share" / name):
        parent.mkdir(parents=True)
    told = {
        "Package": name,
        "Version": "1.0",
        "Architecture": "all",
        "Maintainer": "Nobody <nobody@example.org>",
        "Description": "a package under test",
        **(fields or {}),
    }
    (metadata / "control").write_text("".join(f"{key}: {value}\n" for key, value in told.items()))
    (tree / "usr/share" / name / "payload").write_bytes(payload)
    if service is not None:
        _executable(script, service)
        settings = {"ExecStart": f"/usr/libexec/{name}", **(unit or {})}
        lines = "\n".join(f"{key}={value}" for key, value in settings.items())
        (tree / f"lib/systemd/system/{name}.service").write_text(
            f"[Unit]\nDescription=Test service {name}\n\n[Service]\n{lines}\n\n[Install]\nWantedBy=multi-user.target\n"
        )
        how = "deb-systemd-helper enable" if enable else "true"
        postinst += _POSTINST.format(unit=f"{name}.service", start=start, enable=how)
    for where, content in (files or {}).items():
        file = tree / where.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        file.chmod(0o755 if content.startswith("#!") else 0o644)
    for where, target in (links or {}).items():
        link = tree / where.lstrip("/")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
    if postinst:
        _executable(metadata / "postinst", "set -e\n" + postinst)
    for script_name, text in (scripts or {}).items():
        _executable(metadata / script_name, "set -e\n" + text)
    for name_of, content in (control or {}).items():
        (metadata / name_of).write_text(content)
    if owner:
        for path in (tree / "usr").rglob("*"):
            os.chown(path, owner, owner)
    built = directory / (file_name or f"{name}_1.0_{told['Architecture']}.deb")
    subprocess.run(
        [
            "dpkg-deb",
            *([] if owner else ["--root-owner-group"]),
            f"-Z{compression}",
            "--uniform-compression",
            "--build",
            tree,
            built,
        ],
        check=True,
        capture_output=True,
    )
    return built


def _executable(path: Path, script: str) -> None:
    path.write_text("#!/bin/sh\n" + textwrap.dedent(script) + "\n")
    path.chmod(0o755)
