#!/bin/sh
# PID 1 of a machine's PID namespace, in a mount namespace of its own, until it becomes systemd-nspawn.
#
#   launch.sh USERS GIVEN DROPPED OTHERWISE INPUT OUTPUT ERROR nspawn-argument...
#
# USERS, GIVEN, DROPPED
#          the arguments that give the guest users of its own, and capabilities that are harmless only then
# OTHERWISE
#          the argument in their place if the guest has no users of its own
# INPUT, OUTPUT, ERROR
#          the descriptors that become nspawn's standard streams; 0 for /dev/null
set -eu

# From here on the namespaces are there.
echo started

# Until then, this end of the pipe tells whether postroj is still there: it may have died before its death signal
# was armed. After it, the death signal does. What it says depends on what could be mounted meanwhile.
users=$1 given=$2 dropped=$3 otherwise=$4 input=$5 output=$6 error=$7
shift 7
read -r go
exec <>/dev/null
case $go in
mapped) exec systemd-nspawn "$users" "$given" "$dropped" "$@" <&"$input" >&"$output" 2>&"$error" ;;
unmapped) exec systemd-nspawn "$otherwise" "$@" <&"$input" >&"$output" 2>&"$error" ;;
esac
exit 1
