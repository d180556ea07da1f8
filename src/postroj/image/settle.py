"""Settling a tree: what a first boot would do, done once; and units that a throw-away container has no use for."""

MASKED = {
    "apt-daily.timer": "would hold apt's lock while a package is installed",
    "apt-daily-upgrade.timer": "would hold apt's lock, and change the image under test",
    "dpkg-db-backup.timer": "work for nothing on a machine that is thrown away",
    "fstrim.timer": "the guest has no block device",
    "e2scrub_all.timer": "the guest has no block device",
    "console-getty.service": "/dev/console is a pipe, on which a getty restarts for ever",
}
"""Units that hang or make no sense in a throw-away container, with the reason."""

# $@: the units to mask. What is an optimisation only may fail; a distribution may lack the program.
SCRIPT = r"""
rm -f /etc/hostname /var/lib/dbus/machine-id
for unit; do ln -sfn /dev/null "/etc/systemd/system/$unit"; done
: >/etc/machine-id
systemd-sysusers
systemd-tmpfiles --create --boot || :
ldconfig || :
journalctl --update-catalog || :
touch /etc/.updated /var/.updated
echo "systemd=$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')"
"""
