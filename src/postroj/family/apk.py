"""Alpine Linux, which has no systemd: its images are run without a boot."""

from postroj.family import Family


class _Apk(Family):
    name = "apk"
    tools = ("sbin/apk", "usr/bin/apk")
    systemd = ""
    clean = ""
    architecture = "apk --print-arch"
    # Of `apk-tools 2.14.4, compiled for x86_64.`
    version = "apk --version | sed -n '1s/^\\(apk-tools [^ ,]*\\).*/\\1/p'"


FAMILY = _Apk()
