"""Minimal images of RHEL and what is built from it."""

from postroj.image.family import Family, installing
from postroj.image.family.dnf import ARCHITECTURE, CLEAN

FAMILY = Family(
    tools=("usr/bin/microdnf",),
    # It knows numbers only, and no --allowerasing.
    install=installing('microdnf -y --setopt=install_weak_deps=0 install "$@"', systemd="systemd"),
    clean=CLEAN,
    architecture=ARCHITECTURE,
    # Its first releases cannot tell their version.
    version="rpm -q --queryformat 'microdnf %{VERSION}\\n' --whatprovides microdnf",
)
