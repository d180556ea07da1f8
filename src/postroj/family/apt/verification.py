"""What dpkg tells of an installed package, and whether it comes from a file."""

from postroj.family import verification

_BEFORE = """
directory=$(mktemp -d -p /run) || exit 1
trap 'rm -rf "$directory"' EXIT
"""

# Status 1: there is no such package.
_LOOK = r"""
    state=$(dpkg-query --show --showformat='${db:Status-Status} ${Version}' -- "$1" 2>/dev/null)
    [ $? -le 1 ] || exit 1
"""

# Its maintainer scripts and lists, as dpkg keeps them. Without the warnings of dpkg-query: it has one for each package
# of the guest that lacks a field, such as Maintainer.
_COMPARE = r"""
        rm -rf "$directory/file"
        dpkg-deb --control "$2" "$directory/file" || exit 1
        for kept in $(dpkg-query --control-path "$1" 2>/dev/null); do
            new=$directory/file/${kept##*.}
            [ ! -e "$new" ] || cmp -s -- "$kept" "$new" || differ="$differ ${kept##*.}"
        done
"""

SCRIPT = verification.script("apt-get dpkg", before=_BEFORE, look=_LOOK, compare=_COMPARE)
