"""Alpine Linux, which has no systemd: its images are run without a boot."""

from postroj.image.family import Family

FAMILY = Family(
    tools=("sbin/apk", "usr/bin/apk"),
    install="",
    clean="",
    architecture="apk --print-arch",
    version="apk --version",
)
