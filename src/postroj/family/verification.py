"""The script that tells what of packages is installed, whatever the package manager: Family.verification."""

_FRAME = """
for tool in systemctl {programs}; do
    command -v $tool >/dev/null || {{ echo $tool; exit 3; }}
done
{before}
while [ $# -gt 0 ]; do
    differ=''
    {look}
    if [ -n "$2" ] && [ "${{state%% *}}" = installed ]; then
        {compare}
    fi
    printf '%s\\n' "${{state:-unknown -}}$differ"
    shift 2
done
"""


def script(programs: str, *, before: str, look: str, compare: str) -> str:
    """Return the script made of what a package manager adds, in the language of sh.

    `programs` are those without which nothing can be told. `before` is run once, and ends the script by `exit 1` if the
    package manager does not work. `look` sets `state` for the package "$1": `installed` or another word, and the
    version; it leaves it empty for a package that is not known. `compare` sets `differ`, for a package that is
    installed, to the parts that are not those of the file "$2", each after a space.
    """
    parts = {"before": before, "look": look, "compare": compare}
    return _FRAME.format(programs=programs, **{name: part.strip() for name, part in parts.items()})
