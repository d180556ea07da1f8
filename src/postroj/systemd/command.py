"""How the guest's shell finds a command, in the scripts by which commands are run; and one that takes too long."""

from collections.abc import Sequence

from postroj.deadline import Deadline
from postroj.errors import DeadlineError

# Without it the shell names a line of such a script: `sh: 4: exec: x: not found`. What it has built in, such as cd,
# cannot be executed. A subshell for the search would take some milliseconds.
LOOK_UP = """
case $1 in
*/*)
    [ -e "$1" ] || { echo "postroj: the guest has no $1" >&2; exit 127; }
    [ -f "$1" ] && [ -x "$1" ] || { echo "postroj: $1 cannot be executed in the guest" >&2; exit 126; } ;;
*)
    set -f; IFS=:; postroj_found=
    for postroj_place in ${PATH:-.}; do [ -f "${postroj_place:-.}/$1" ] && postroj_found=1 && break; done
    set +f; unset IFS
    [ "$postroj_found" ] || { echo "postroj: the guest has no command $1" >&2; exit 127; } ;;
esac
"""
"""Ends with a sentence and the status 126 or 127 unless "$1" is a command."""

IN_DIRECTORY = f"""
cd -- "$1" 2>/dev/null || {{ echo "postroj: the guest has no directory $1 to run in" >&2; exit 126; }}
shift
{LOOK_UP}
"""
"""Ends so as well if "$1" is no directory; otherwise "$@" is the command then, without it."""


def literal(*words: str) -> list[str]:
    """Return words that systemd leaves as they are: it would expand variables, systemd.service(5), Command Lines."""
    return [word.replace("$", "$$") for word in words]


def late(argv: Sequence[str], deadline: Deadline) -> DeadlineError:
    """Return the error of a command that has not ended in time."""
    import shlex  # only after a mistake

    words = (shlex.quote(word) if "\n" not in word else "…" for word in argv)  # nobody reads a script here
    return DeadlineError(f"`{' '.join(words)[:200]}` did not end within {deadline.seconds:g} s", hint="see --timeout")
