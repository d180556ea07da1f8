"""Minimal images of RHEL and what is built from it."""

from postroj.image.family import Family
from postroj.image.family.dnf import PACKAGES, VAULT

FAMILY = Family(
    tools=("usr/bin/microdnf",),
    install=f"{VAULT}\nmicrodnf --assumeyes --setopt=install_weak_deps=0 install {PACKAGES}\n",
    clean=VAULT,
    architecture="rpm --eval '%{_arch}'",
    version="rpm -q --queryformat 'microdnf %{VERSION}\\n' microdnf",
)
