#!/bin/bash
# One cycle of podman: podman.sh inside|outside ROOT UNIT DIRECTORY CGROUP
# outside: the host asks again and again whether the guest has booted, then for the unit. inside: the guest waits for
# its own boot, so that one `podman exec` does both; without the sleep the asking slows it down. DIRECTORY has podman's
# storage, and all else that it keeps.
set -eu
how=$1 root=$2 unit=$3 directory=$4 cgroup=$5

peer() {
    podman --root="$directory/storage" --runroot="$directory/run" --tmpdir="$directory/tmp" \
        --runtime=runc --cgroup-manager=cgroupfs --events-backend=none "$@"
}

booted() {
    "$@" systemctl is-system-running --wait 2>/dev/null | grep --quiet -e running -e degraded
}

trap 'peer rm --force --time=0 peer >/dev/null' EXIT
# crun wants a CAP_SYS_RESOURCE that not every host has, and so do limits that are higher than the host's own.
peer run --detach --name=peer --systemd=always --network=host --ulimit=nofile=1024:1024 --ulimit=nproc=1024:1024 \
    --cgroup-parent="/$cgroup" --log-driver=none --rootfs "$root:O" /sbin/init >/dev/null
if [ "$how" = inside ]; then
    peer exec peer sh -c "$(declare -f booted); until booted; do sleep 0.03; done; systemctl is-active --quiet '$unit'"
else
    until booted peer exec peer; do :; done
    peer exec peer systemctl is-active --quiet "$unit"
fi
