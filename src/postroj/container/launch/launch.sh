#!/bin/sh
# PID 1 of a machine's PID namespace, in a mount namespace of its own, until it becomes systemd-nspawn.
#
#   launch.sh USERS INPUT OUTPUT ERROR nspawn-argument...
#
# USERS    the argument that gives the guest users of its own
# INPUT, OUTPUT, ERROR
#          the descriptors that become nspawn's standard streams; 0 for /dev/null
set -eu

# From here on the namespaces are there.
echo started

# Until then, this end of the pipe tells whether postroj is still there: it may have died before its death signal
# was armed. After it, the death signal does. What it says depends on what could be mounted meanwhile.
users=$1 input=$2 output=$3 error=$4
shift 4
read -r go
exec <>/dev/null
case $go in
mapped) exec systemd-nspawn "$users" "$@" <&"$input" >&"$output" 2>&"$error" ;;
unmapped) exec systemd-nspawn "$@" <&"$input" >&"$output" 2>&"$error" ;;
esac
exit 1
