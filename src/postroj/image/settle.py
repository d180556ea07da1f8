"""Settling a tree: what a first boot would do, done once; and units that a throw-away container has no use for."""

MASKED = {
    "apt-daily.timer": "would hold apt's lock while a package is installed",
    "apt-daily-upgrade.timer": "would hold apt's lock, and change the image under test",
    "dnf-makecache.timer": "would hold dnf's lock while a package is installed",
    "dnf-automatic.timer": "would change the image under test",
    "dnf5-automatic.timer": "would change the image under test",
    "packagekit-background.timer": "would change the image under test",
    "archlinux-keyring-wkd-sync.timer": "fetches keys over the network, from strangers",
    "unbound-anchor.timer": "work for nothing on a machine that is thrown away",
    "backup-rpmdb.timer": "work for nothing on a machine that is thrown away",
    "backup-sysconfig.timer": "work for nothing on a machine that is thrown away",
    "dpkg-db-backup.timer": "work for nothing on a machine that is thrown away",
    "check-battery.timer": "the guest has no battery",
    "fstrim.timer": "the guest has no block device",
    "e2scrub_all.timer": "the guest has no block device",
    "systemd-networkd-wait-online.service": "waits two minutes for a link that networkd does not set up",
    "NetworkManager-wait-online.service": "waits a minute for a link that NetworkManager does not set up",
    "systemd-firstboot.service": "would ask on a console that nobody answers",
    "systemd-homed-firstboot.service": "would ask on a console that nobody answers",
    "console-getty.service": "/dev/console is a pipe, on which a getty restarts for ever",
}
"""Units that hang or make no sense in a throw-away container, with the reason; masked whether there or not."""

# What is only done ahead of the first boot may fail: then it is done there.
SCRIPT = rf"""
rm -f /etc/hostname /var/lib/dbus/machine-id
for unit in {" ".join(MASKED)}; do ln -sfn /dev/null "/etc/systemd/system/$unit" || exit; done
: >/etc/machine-id
systemd-sysusers || exit
systemd-tmpfiles --create --boot || :
ldconfig || :
journalctl --update-catalog || :
touch /etc/.updated /var/.updated
echo "systemd=$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')"
"""
