"""The script that installs systemd, and what else a tree lacks for a boot."""

# Asked of files, not of a package database: distributions cut these packages differently (util-linux-core,
# dbus-broker, systemd-sysvinit), and most package managers upgrade what they are told to install.
_LACKING = """\
set -e
is_there() {{
    for path; do [ ! -e "$path" ] || return 0; done
    return 1
}}
set --
is_there /usr/lib/systemd/systemd /lib/systemd/systemd || set -- "$@" {systemd}
{{ is_there /usr/lib/systemd/system/dbus.socket /lib/systemd/system/dbus.socket &&
    is_there /usr/bin/dbus-daemon /usr/bin/dbus-broker-launch; }} || set -- "$@" {bus}
is_there /usr/bin/mount /bin/mount || set -- "$@" {mount}
# Each installed system has it, and units use it by this path: ExecReload=/bin/kill -HUP $MAINPID
is_there /usr/bin/kill /bin/kill || set -- "$@" {kill}
# By these maintainer scripts make users, and no package says that it needs them.
is_there /usr/sbin/useradd /usr/bin/useradd || set -- "$@" {users}
if [ $# -gt 0 ]; then
{command}
fi
"""


def installing(
    command: str,
    *,
    systemd: str,
    bus: str = "dbus",
    mount: str = "util-linux",
    kill: str = "util-linux",
    users: str = "shadow-utils",
) -> str:
    """Return the script that runs a command with the packages in "$@" that lack, unless none lacks."""
    return _LACKING.format(command=command.strip("\n"), systemd=systemd, bus=bus, mount=mount, kill=kill, users=users)
