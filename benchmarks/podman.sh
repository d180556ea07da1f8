#!/bin/bash
# One cycle of podman: podman.sh plain|inside|outside ROOT UNIT DIRECTORY CGROUP
# plain: as it comes, and as scripts use it: a private network with NAT, as postroj's machines have, its logs and events, and
# the host asks each 100 ms. The others are tuned: the host's network, no logs, no events.
# outside: the host asks again and again whether the guest has booted, then for the unit. inside: the guest waits for
# its own boot, so that one `podman exec` does both; without the sleep the asking slows it down. DIRECTORY has podman's
# storage, and all else that it keeps.
set -eu
how=$1 root=$2 unit=$3 directory=$4 cgroup=$5

tuned=(--events-backend=none)
network=(--network=host --log-driver=none)
if [ "$how" = plain ]; then
    tuned=() network=()
fi

peer() {
    podman --root="$directory/storage" --runroot="$directory/run" --tmpdir="$directory/tmp" \
        --runtime=runc --cgroup-manager=cgroupfs "${tuned[@]}" "$@"
}

booted() {
    "$@" systemctl is-system-running --wait 2>/dev/null | grep --quiet -e running -e degraded
}

trap 'peer rm --force --time=0 peer >/dev/null' EXIT
# crun wants a CAP_SYS_RESOURCE that not every host has, and so do limits that are higher than the host's own.
peer run --detach --name=peer --systemd=always "${network[@]}" --ulimit=nofile=1024:1024 --ulimit=nproc=1024:1024 \
    --cgroup-parent="/$cgroup" --rootfs "$root:O" /sbin/init >/dev/null
if [ "$how" = inside ]; then
    peer exec peer sh -c "$(declare -f booted); until booted; do sleep 0.03; done; systemctl is-active --quiet '$unit'"
elif [ "$how" = plain ]; then
    until peer exec peer systemctl is-system-running 2>/dev/null | grep --quiet -e running -e degraded; do sleep 0.1; done
    peer exec peer systemctl is-active --quiet "$unit"
else
    until booted peer exec peer; do :; done
    peer exec peer systemctl is-active --quiet "$unit"
fi
