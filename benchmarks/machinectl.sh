#!/bin/bash
# One cycle as one writes it in bash on a host with machined: machinectl.sh ROOT UNIT
set -eu
systemd-nspawn --quiet --boot --volatile=overlay --directory="$1" --machine=peer </dev/null >/dev/null 2>&1 &
trap 'machinectl terminate peer; wait' EXIT
# Not with --wait: through --machine it misses the end of the boot at times, and never returns. Without the sleep the
# asking slows the boot down.
until systemctl --machine=peer is-system-running 2>/dev/null | grep --quiet -e running -e degraded; do
    sleep 0.03
done
systemd-run --machine=peer --wait --quiet systemctl is-active --quiet "$2"
