"""openSUSE, SUSE Linux Enterprise."""

from postroj.image.family import Family

FAMILY = Family(
    tools=("usr/bin/zypper",),
    install=(
        "zypper --non-interactive --gpg-auto-import-keys refresh\n"
        "zypper --non-interactive install --no-recommends systemd dbus-1 util-linux\n"
    ),
    clean="sed -i 's/^rpm.install.excludedocs *=.*/rpm.install.excludedocs = no/' /etc/zypp/zypp.conf 2>/dev/null || :\n",
    architecture="rpm --eval '%{_arch}'",
    version="zypper --version",
)
