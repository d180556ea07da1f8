#!/bin/sh
# PID 1 of a machine's PID namespace, in a mount namespace of its own, until it becomes systemd-nspawn.
# What it mounts is seen by nobody else and is gone when the namespace is.
#
#   launch.sh NAME REMOUNT CGROUP OVERLAY LOWER nspawn-argument...
#
# NAME     the machine's, and its host name
# REMOUNT  "yes": /sys/fs/cgroup is not cgroup2, so cgroup2 is mounted in its place
# CGROUP   path below the cgroup2 root of a cgroup that exists; its removal stops a launcher that comes late
# OVERLAY  an empty directory for the overlay, or "" for none
# LOWER    the image, read-only below the overlay
set -eu
umask 022 # the guest's / and /etc are made here

# From here on the namespaces are there.
echo started

# Until "go", this end of the pipe tells whether postroj is still there: it may have died before its death
# signal was armed. After it, the death signal does.
read -r go
[ "$go" = go ]

name=$1 remount=$2 cgroup=$3 overlay=$4 lower=$5
shift 5

[ "$remount" = no ] || mount -n -t cgroup2 cgroup2 /sys/fs/cgroup
echo 0 >"/sys/fs/cgroup/$cgroup/cgroup.procs"

# nspawn leaves its propagation directory behind where this is not a tmpfs.
[ -d /run/systemd/nspawn ] || mkdir -p /run/systemd/nspawn
mount -n -t tmpfs -o mode=0755 tmpfs /run/systemd/nspawn

if [ -n "$overlay" ]; then
    mount -n -t tmpfs -o mode=0755 tmpfs "$overlay"
    mkdir "$overlay/upper" "$overlay/upper/etc" "$overlay/work" "$overlay/root"
    # The guest knows itself by name, without asking a name server; the file replaces the image's.
    printf '127.0.0.1 localhost\n127.0.1.1 %s\n::1 localhost ip6-localhost\n' "$name" >"$overlay/upper/etc/hosts"
    mount -n -t overlay -o "lowerdir=$lower,upperdir=$overlay/upper,workdir=$overlay/work" overlay "$overlay/root"
fi

exec systemd-nspawn "--machine=$name" "$@" </dev/null
