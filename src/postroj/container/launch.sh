#!/bin/sh
# PID 1 of a machine's PID namespace, in a mount namespace of its own, until it becomes systemd-nspawn.
#
#   launch.sh USERS INPUT nspawn-argument...
#
# USERS    the argument that gives the guest users of its own
# INPUT    the standard input of nspawn
set -eu

# From here on the namespaces are there.
echo started

# Until then, this end of the pipe tells whether postroj is still there: it may have died before its death signal
# was armed. After it, the death signal does. What it says depends on what could be mounted meanwhile.
users=$1 input=$2
shift 2
read -r go
case $go in
mapped) exec systemd-nspawn "$users" "$@" <"$input" ;;
unmapped) exec systemd-nspawn "$@" <"$input" ;;
esac
exit 1
