"""Arch Linux: rolling, so what is installed is upgraded with the rest."""

from postroj.family import Family
from postroj.family.bootable import installing

# pacman 7 confines what downloads by Landlock, which nspawn's seccomp filter does not let through, and gives up.
_SANDBOX = r"""
sed -i -E 's/^#(DisableSandbox|DisableSandboxFilesystem) *$/\1/' /etc/pacman.conf
"""

# What was last installed 60 days ago or longer is a snapshot: no mirror has its packages any more, and an upgrade would
# make another system of it. It gets the archive of that day; and as some of its packagers' keys have expired since,
# signatures are checked as of that day: gpg(1), --faked-system-time, where `!` stops the clock.
_SNAPSHOT = r"""
newest=$(sed -n '/^%INSTALLDATE%$/{n;p}' /var/lib/pacman/local/*/desc | sort -n | tail -n 1)
if grep -q '^ID=arch$' /etc/os-release && [ "${newest:-0}" -gt 0 ] && [ "$newest" -lt $(($(date +%s) - 5184000)) ]; then
    date --utc --date="@$newest" '+Server = https://archive.archlinux.org/repos/%Y/%m/%d/$repo/os/$arch' \
        >/etc/pacman.d/mirrorlist
    mkdir -p -m 755 /etc/pacman.d/gnupg
    grep -qs '^faked-system-time' /etc/pacman.d/gnupg/gpg.conf ||
        date --utc --date="@$newest" '+faked-system-time %Y%m%dT235959!' >>/etc/pacman.d/gnupg/gpg.conf
fi
"""

# Images come without the secret key by which a system vouches for its packagers, and some without their keys as well.
_KEYRING = r"""
if [ -z "$(ls -A /etc/pacman.d/gnupg/private-keys-v1.d 2>/dev/null)" ]; then
    pacman-key --init
    pacman-key --populate
fi
"""


class _Pacman(Family):
    name = "pacman"
    tools = ("usr/bin/pacman",)
    # Arch Linux supports no partial upgrades, so the whole system is upgraded.
    systemd = installing(
        'pacman --sync --refresh --sysupgrade --noconfirm --needed "$@"', systemd="systemd systemd-sysvcompat"
    )
    # Images leave documentation and translations away; what they say of files in /etc is theirs.
    clean = f"set -e\nsed -i '/^NoExtract/{{/etc\\//!d}}' /etc/pacman.conf\n{_SANDBOX}{_SNAPSHOT}{_KEYRING}"
    architecture = "pacman-conf Architecture | sed -n 1p"
    version = "pacman --version | sed -n 's/.*\\(Pacman v[0-9.]*\\).*/\\1/p'"


FAMILY = _Pacman()
