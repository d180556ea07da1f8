"""What root in a guest may try against its host: scripts that say how far they have come.

Each is a program for `sh -c`, which prints MADE_IT where it has come through, and why it has not on standard error.
Nothing here does harm where it comes through: settings change by one and are put back, disks are only read, and what
is handed to the kernel as a module is none.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple

import stages
from stages import Stage

MADE_IT = "made it"

PRIVILEGED, ON_THE_HOST = "a guest that is --privileged", "the host itself"


class Attempt(NamedTuple):
    """One of them."""

    script: str
    refusal: str
    """What is said where it is refused, a regular expression: a script that just does not work would not say it."""
    stage: Callable[[Path], AbstractContextManager[Stage]] = lambda _: nullcontext(Stage())
    control: str = PRIVILEGED
    """Where it comes through, so that it is known to try the right thing."""


_DENIED = "(Permission denied|Operation not permitted)"

# PATH VALUE: below /proc/sys, or /sys; by way of the guest's own mount and by way of a new one.
_CHANGE_SYSCTL = """
mount -o remount,bind,rw /proc/sys
mount -t proc proc /mnt
for proc in /proc /mnt; do echo "$2" >"$proc/sys/$1" && echo made it; done
"""
_CHANGE_SYSFS = """
mount -o remount,bind,rw "/sys/${1%%/*}"
mount -t sysfs sysfs /mnt
mount -o remount,rw /mnt
for sys in /sys /mnt; do echo "$2" >"$sys/$1" && echo made it; done
"""

# init_module(2), finit_module(2), by number: a kernel that would take a module says what is wrong with this one.
_LOAD_MODULE = """exec perl -e '
    my ($init, $finit) = map { int } @ARGV;
    my $nothing = "";
    $! = 0; syscall($init, $nothing, 0, $nothing); my $said = $!; warn "init_module: $!\n";
    $! = 0; syscall($finit, -1, $nothing, 0);                     warn "finit_module: $!\n";
    print "made it\n" if $said != 1 && $! != 1;  # EPERM
' "$@"
"""

# adjtimex(2): read the length of a tick and set it to what it is.
_SET_CLOCK = """exec perl -e '
    my ($adjtimex) = map { int } @ARGV;
    my $timex = "\\0" x 208;
    syscall($adjtimex, $timex) < 0 and die "adjtimex: $!\n";
    substr($timex, 0, 4) = pack("L", 0x4000);
    syscall($adjtimex, $timex) < 0 and die "adjtimex: $!\n";
    print "made it\n";
' "$@"
"""

# keyctl(2): find a key of the host's root by its name.
_FIND_KEY = """exec perl -e '
    my ($keyctl, $name) = (int($ARGV[0]), $ARGV[1]);
    my ($search, $user_keyring, $kind) = (10, -4, "user");
    syscall($keyctl, $search, $user_keyring, $kind, $name, 0) < 0 and die "keyctl: $!\n";
    print "made it\n";
' "$@"
"""

# open_by_handle_at(2): a file that was never bound, by its number, on a file system of which a part was bound.
_OPEN_BY_HANDLE = """exec perl -e '
    my ($number, $bound, $kind, $handle) = @ARGV;
    open(my $mount, "<", $bound) or die "$bound: $!\n";
    my $bytes = pack("H*", $handle);
    my $given = pack("Ll", length $bytes, $kind) . $bytes;
    my $fd = syscall(int $number, fileno $mount, $given, 0);
    $fd < 0 and die "open_by_handle_at: $!\n";
    open(my $file, "<&=", $fd) or die "$!\n";
    <$file> eq "secret\n" and print "made it\n";
' "$@"
"""

# ptrace(2), PTRACE_SEIZE.
_TRACE = """exec perl -e '
    my ($ptrace, $pid) = map { int } @ARGV;
    syscall($ptrace, 0x4206, $pid, 0, 0) < 0 and die "ptrace: $!\n";
    print "made it\n";
' "$@"
"""

# PATH: what nspawn or the kernel keeps from guests; beneath what may lie over it, and by way of a new mount.
_OPEN_HIDDEN = """
umount "/proc/$1" "/sys/$1" 2>/dev/null
mkdir -p /tmp/proc /tmp/sys
mount -t proc proc /tmp/proc
mount -t sysfs sysfs /tmp/sys
for top in /proc /sys /tmp/proc /tmp/sys; do
    perl -MErrno -e '
        my ($path) = @ARGV;
        sysopen(my $file, $path, 04000) or die "$path: $!\n";  # O_NONBLOCK
        -f $file && (sysread($file, my $bytes, 4096) || $!{EAGAIN}) or die "$path: nothing in it\n";
        print "made it\n";
    ' "$top/$1"
done
"""

_NAMED_KEY = """
umount /proc/keys 2>/dev/null
mount -t proc proc /mnt
grep -q -s -F "$1" /proc/keys /mnt/keys && echo made it || echo "$1 is not there" >&2
"""

_KERNEL_ADDRESSES = """
umount /proc/kallsyms 2>/dev/null
grep -v -m 1 '^0* ' /proc/kallsyms && echo made it || echo 'nothing but zeros' >&2
"""

_KERNEL_LOG = """
dmesg --syslog | head -n 1 | grep . && echo made it
mknod /dev/log-of-host c 1 11 && head -n 1 /dev/log-of-host && echo made it
"""

# MAJOR MINOR
_READ_DISK = """
for node in /dev/disk /root/disk /tmp/disk; do
    mknod "$node" b "$1" "$2" && dd if="$node" of=/dev/null bs=512 count=4 && echo made it
done
"""
_MOUNT_DISK = """
mknod /dev/disk b "$1" "$2"
mount -t ext4 -o ro,noload /dev/disk /mnt && grep -x secret /mnt/file && echo made it
"""

_MOUNT_KERNELS = 'mount -t "$1" "$1" /mnt && echo made it'

# A read-only bind at /srv, of which this is a file; written to directly, and by way of other mounts of it.
_WRITE_READ_ONLY = """
mount -o remount,bind,rw /srv
mount --bind /srv /mnt && mount -o remount,bind,rw /mnt
for place in /srv /mnt; do echo changed >"$place/file" && echo made it; done
unshare --mount sh -c 'mount -o remount,bind,rw /srv; echo changed >/srv/file' && echo made it
umount /srv
exit 0
"""

# TREE: the image's; what the guest's own root is made from is told by its mount, without where that is on the host.
_FIND_TREES = """
lower=$(sed -n 's/.* - overlay .*lowerdir=\\([^,:]*\\).*/\\1/p' /proc/self/mountinfo | head -n 1)
mounts=${lower%/*}
for path in "$1" "$1/record" /run/postroj/*/mounts ${mounts:+"$mounts" "$lower" "$mounts/upper" "$mounts/root"}; do
    for root in "" /proc/[0-9]*/root /proc/[0-9]*/cwd /run/host; do
        [ ! -e "$root$path" ] || echo made it
    done
done
[ -z "$lower" ] || ! mount -t overlay -o "lowerdir=$lower:/usr" overlay /mnt || echo made it
echo "nothing of ${lower:-it} is there" >&2
"""

_KILL = 'kill -s KILL "$1" && echo made it'

# A pattern that does not match itself: in the command lines of all processes that there are.
_FIND_PROCESS = """
mount -t proc proc /mnt
grep -q -s "$1" /proc/[0-9]*/cmdline /mnt/[0-9]*/cmdline && echo made it || echo "$1 is not there" >&2
"""

ATTEMPTS = {
    "a kernel.* sysctl": Attempt(
        _CHANGE_SYSCTL,
        f"/proc/sys/\\S+: {_DENIED}.*/mnt/sys/\\S+: ({_DENIED}|Directory nonexistent)",
        lambda _: stages.setting("/proc/sys", "kernel/printk_ratelimit_burst"),
    ),
    "a vm.* sysctl": Attempt(
        _CHANGE_SYSCTL,
        f"/proc/sys/\\S+: {_DENIED}.*/mnt/sys/\\S+: ({_DENIED}|Directory nonexistent)",
        lambda _: stages.setting("/proc/sys", "vm/stat_interval"),
    ),
    "a setting in /sys": Attempt(
        _CHANGE_SYSFS,
        f"/sys/kernel/\\S+: ({_DENIED}|Read-only file system)",
        lambda _: stages.setting("/sys", "kernel/mm/ksm/pages_to_scan"),
    ),
    "a kernel module": Attempt(
        _LOAD_MODULE,
        "init_module: Operation not permitted\nfinit_module: Operation not permitted",
        lambda _: stages.system_calls("init_module", "finit_module"),
    ),
    "the clock": Attempt(_SET_CLOCK, "adjtimex: Operation not permitted", lambda _: stages.system_calls("adjtimex")),
    "the disk of the images, raw": Attempt(_READ_DISK, "mknod: .*: Operation not permitted", stages.disk_of_images),
    "a disk, raw": Attempt(_READ_DISK, "mknod: .*: Operation not permitted", stages.disk),
    "a disk, mounted": Attempt(_MOUNT_DISK, "mknod: .*: Operation not permitted", stages.disk),
    "debugfs": Attempt(_MOUNT_KERNELS, "mount: /mnt: permission denied", lambda _: stages.kernels_own("debugfs")),
    "tracefs": Attempt(_MOUNT_KERNELS, "mount: /mnt: permission denied", lambda _: stages.kernels_own("tracefs")),
    "the kernel's log": Attempt(
        _KERNEL_LOG, "dmesg: .*: Operation not permitted\nmknod: .*: Operation not permitted", stages.kernel_log
    ),
    "the kernel's addresses": Attempt(_KERNEL_ADDRESSES, "nothing but zeros", stages.kernel_addresses),
    **{
        path: Attempt(_OPEN_HIDDEN, f"{path}: ({_DENIED}|nothing in it)", stages.hidden(path))
        for path in ("kcore", "kmsg", "vmallocinfo", "kpageflags", "firmware/acpi/tables/DSDT")
    },
    "a key of the host's": Attempt(
        _FIND_KEY,
        "keyctl: (Operation not permitted|Required key not available)",
        stages.key_by_number,
        ON_THE_HOST,  # nspawn lets no guest have the system calls
    ),
    "the names of the host's keys": Attempt(_NAMED_KEY, "is not there", stages.key_by_name),
    "a file by its number": Attempt(
        _OPEN_BY_HANDLE, "open_by_handle_at: Operation not permitted", stages.file_by_handle, ON_THE_HOST
    ),
    "what is bound read-only": Attempt(
        _WRITE_READ_ONLY, "(Read-only file system.*){2}", stages.bound_read_only
    ),
    # A guest's root is all that it has of files, and its processes are all that there are, privileged or not.
    "the image's tree": Attempt(_FIND_TREES, "nothing of \\S+ is there", stages.image_tree, ON_THE_HOST),
    "a process, by its command line": Attempt(_FIND_PROCESS, "is not there", stages.process_by_name, ON_THE_HOST),
    "a process, killed": Attempt(_KILL, "No such process", stages.process_to_kill, ON_THE_HOST),
    "a process, traced": Attempt(
        _TRACE, "ptrace: (No such process|Operation not permitted)", stages.process_to_trace, ON_THE_HOST
    ),
}  # fmt: skip
