"""Minimal images of RHEL and what is built from it."""

from postroj.family import rpm
from postroj.family.bootable import installing
from postroj.family.dnf import CLEAN


class _Microdnf(rpm.RpmDatabase):
    name = "microdnf"
    tools = ("usr/bin/microdnf",)
    # It knows numbers only, and no --allowerasing.
    systemd = installing('microdnf -y --setopt=install_weak_deps=0 install "$@"', systemd="systemd")
    clean = CLEAN
    # Its first releases cannot tell their version.
    version = "rpm -q --queryformat 'microdnf %{VERSION}\\n' --whatprovides microdnf"


FAMILY = _Microdnf()
