"""What dpkg tells of an installed package, and whether it comes from a file."""

# Its arguments are pairs: a package as dpkg-query(1) takes it, and its file, empty for one from the repositories.
# Printed is a line for each: the status, the version, and what of its maintainer scripts and lists, as dpkg keeps them,
# is not that of the file.
SCRIPT = r"""
for tool in systemctl apt-get dpkg; do
    command -v $tool >/dev/null || { echo $tool; exit 3; }
done
directory=$(mktemp -d -p /run) || exit 1
trap 'rm -rf "$directory"' EXIT
while [ $# -gt 0 ]; do
    state=$(dpkg-query --show --showformat='${db:Status-Status} ${Version}' -- "$1" 2>/dev/null)
    [ $? -le 1 ] || exit 1  # 1: there is no such package
    differ=
    if [ -n "$2" ] && [ "${state%% *}" = installed ]; then
        rm -rf "$directory/file"
        dpkg-deb --control "$2" "$directory/file" || exit 1
        # Without its warnings: it has one for each package of the guest that lacks a field, such as Maintainer.
        for kept in $(dpkg-query --control-path "$1" 2>/dev/null); do
            new=$directory/file/${kept##*.}
            [ ! -e "$new" ] || cmp -s -- "$kept" "$new" || differ="$differ ${kept##*.}"
        done
    fi
    printf '%s\n' "${state:-unknown -}$differ"
    shift 2
done
"""
