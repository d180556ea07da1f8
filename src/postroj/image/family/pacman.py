"""Arch Linux: rolling, so what is installed is upgraded with the rest."""

from postroj.image.family import Family

FAMILY = Family(
    tools=("usr/bin/pacman",),
    install="pacman --sync --refresh --sysupgrade --noconfirm --needed systemd systemd-sysvcompat dbus util-linux\n",
    clean="sed -i '/^NoExtract/d' /etc/pacman.conf\n",
    architecture="pacman-conf Architecture | sed -n 1p",
    version="pacman --version | sed -n 's/.*\\(Pacman v[0-9.]*\\).*/\\1/p'",
)
