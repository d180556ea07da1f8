"""Packages as good packagers build them, in two versions, for each family: a life cycle finds nothing in them.

Tests change one thing of them.
"""

from pathlib import Path
from typing import Any

import debs
from packages import build

SERVER = debs.SERVER

# As debhelper's dh_installsystemd writes them: deb-systemd-helper(1p), deb-systemd-invoke(1p).
_DEB = {
    "post": """
        set -e
        if [ "$1" = configure ] || [ "$1" = abort-upgrade ] || [ "$1" = abort-remove ]; then
            getent passwd lived >/dev/null || useradd --system --no-create-home lived
            mkdir -p /var/lib/live
            deb-systemd-helper unmask live.service >/dev/null || true
            if deb-systemd-helper --quiet was-enabled live.service; then
                deb-systemd-helper enable live.service >/dev/null || true
            else
                deb-systemd-helper update-state live.service >/dev/null || true
            fi
            systemctl --system daemon-reload >/dev/null || true
            action=start
            [ -z "$2" ] || action=restart
            deb-systemd-invoke $action live.service >/dev/null || true
        fi
        """,
    "preun": """
        set -e
        if [ "$1" = remove ]; then deb-systemd-invoke stop live.service >/dev/null || true; fi
        """,
    "postun": """
        set -e
        if [ "$1" = remove ]; then
            systemctl --system daemon-reload >/dev/null || true
            deb-systemd-helper mask live.service >/dev/null || true
        fi
        if [ "$1" = purge ]; then
            deb-systemd-helper purge live.service >/dev/null || true
            deb-systemd-helper unmask live.service >/dev/null || true
            rm -rf /var/lib/live
        fi
        """,
}
# As the macros %systemd_post, %systemd_preun and %systemd_postun_with_restart: systemd.spec(5) of Fedora.
_RPM = {
    "post": """
        getent passwd lived >/dev/null || useradd --system --no-create-home lived || :
        if [ $1 -eq 1 ]; then systemctl --no-reload preset live.service || : ; fi
        systemctl daemon-reload || :
        """,
    "preun": "if [ $1 -eq 0 ]; then systemctl --no-reload disable --now live.service || : ; fi",
    "postun": """
        systemctl daemon-reload || :
        if [ $1 -ge 1 ]; then systemctl try-restart live.service || : ; fi
        """,
}
# pacman has no policy for services: .INSTALL does what an administrator would do.
_ARCH = {
    "post": "systemctl daemon-reload",
    "post_upgrade": "systemctl daemon-reload; systemctl try-restart live.service",
    "preun": "systemctl disable --now live.service",
    "postun": "systemctl daemon-reload",
}
SCRIPTS = {"deb": _DEB, "rpm": _RPM, "archlinux": _ARCH}


def live(directory: Path, packager: str, version: str = "2.0.0", **changed: Any) -> Path:
    """Build the package `live` in a version. `changed` is what packages.build takes; `scripts` are over its own."""
    scripts = {**SCRIPTS[packager], **changed.pop("scripts", {})}
    told = {"service": SERVER, "config": {"/etc/live.conf": f"version = {version}\n"}, **changed}
    name = told.pop("name", "live")
    place = directory / f"{packager}-{version}"
    place.mkdir(exist_ok=True)
    return build(place, name, packager=packager, version=version, scripts=scripts, **told)
