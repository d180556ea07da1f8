"""Alpine Linux, which has no systemd: its images are run without a boot."""

from postroj.image.family import Family

FAMILY = Family(
    tools=("sbin/apk", "usr/bin/apk"),
    install="",
    clean="",
    architecture="apk --print-arch",
    # Of `apk-tools 2.14.4, compiled for x86_64.`
    version="apk --version | sed -n '1s/^\\(apk-tools [^ ,]*\\).*/\\1/p'",
)
