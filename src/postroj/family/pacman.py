"""Arch Linux: rolling, so what is installed is upgraded with the rest."""

import re
from collections.abc import Collection, Sequence

from postroj.family import Commands, Family, gpg
from postroj.family.bootable import installing
from postroj.family.plan import Plan, Step
from postroj.family.reason import LONGEST, LONGEST_LINE, UNKNOWN, Reason
from postroj.lastwords import telling

# pacman 7 confines what downloads by Landlock, which nspawn's seccomp filter does not let through, and gives up.
_SANDBOX = r"""
sed -i -E 's/^#(DisableSandbox|DisableSandboxFilesystem) *$/\1/' /etc/pacman.conf
"""

# What was last installed 60 days ago or longer is a snapshot: no mirror has its packages any more, and an upgrade would
# make another system of it. It gets the archive of that day; and as some of its packagers' keys have expired since,
# signatures are checked as of that day: gpg(1), --faked-system-time, where `!` stops the clock.
_SNAPSHOT = r"""
newest=$(sed -n '/^%INSTALLDATE%$/{n;p}' /var/lib/pacman/local/*/desc | sort -n | tail -n 1)
if grep -q '^ID=arch$' /etc/os-release && [ "${newest:-0}" -gt 0 ] && [ "$newest" -lt $(($(date +%s) - 5184000)) ]; then
    date --utc --date="@$newest" '+Server = https://archive.archlinux.org/repos/%Y/%m/%d/$repo/os/$arch' \
        >/etc/pacman.d/mirrorlist
    mkdir -p -m 755 /etc/pacman.d/gnupg
    grep -qs '^faked-system-time' /etc/pacman.d/gnupg/gpg.conf ||
        date --utc --date="@$newest" '+faked-system-time %Y%m%dT235959!' >>/etc/pacman.d/gnupg/gpg.conf
fi
"""

# Images come without the secret key by which a system vouches for its packagers, and some without their keys as well.
_KEYRING = r"""
if [ -z "$(ls -A /etc/pacman.d/gnupg/private-keys-v1.d 2>/dev/null)" ]; then
    pacman-key --init
    pacman-key --populate
fi
"""


_PACMAN = ("pacman", "--noconfirm", "--noprogressbar")
_WORD = re.compile(r"[A-Za-z0-9@_+][A-Za-z0-9@._+-]*(?<!-)")

# What is printed of a package is by pacman's own format, as its words for humans change.
_STEP = re.compile(r"(?P<name>\S+) (?P<version>\S+) (?P<place>/\S+|\w+://\S+)$")
_LOCAL = "/run/postroj/"
_BEGINS = re.compile(r"(?P<verb>installing|reinstalling|upgrading|downgrading|removing) (?P<package>\S+?)\.\.\.$")
_SCRIPT_FAILED = re.compile(
    r"error: (?:command failed to execute correctly|command terminated by signal (?P<signal>\d+).*)$"
)
_DEPENDENCY = re.compile(r":: unable to satisfy dependency '(?P<what>.+)' required by (?P<package>\S+)$")
_EXISTS = re.compile(r"(?P<package>[^\s:]+): (?P<path>/.+) exists in filesystem(?: \(owned by (?P<other>\S+)\))?$")
_CONFLICT = re.compile(r":: (?P<package>\S+) and (?P<other>\S+) are in conflict")
_TARGET = re.compile(r"error: target not found: (?P<what>.+)")
_ARCHITECTURE = re.compile(r":: package (?P<package>\S+) does not have a valid architecture")
_ERROR = re.compile(r"error: (?P<what>.+)")
_WORDS = 12

# The date of its build, and its checksums of files, tell two builds of one version apart.
_VERIFICATION = """
for tool in systemctl pacman; do
    command -v $tool >/dev/null || { echo $tool; exit 3; }
done
export LC_ALL=C
pacman --query --quiet >/dev/null 2>&1 || exit 1
while [ $# -gt 0 ]; do
    if state=$(pacman --query -- "$1" 2>/dev/null); then
        state="installed ${state#* }"
        if [ -n "$2" ]; then
            is=$(pacman --query --info -- "$1" | grep -E '^(Build Date|Packager|Installed Size)')
            new=$(pacman --query --info --file -- "$2" | grep -E '^(Build Date|Packager|Installed Size)')
            [ "$is" = "$new" ] || state="$state .PKGINFO"
        fi
    else
        state="unknown -"
    fi
    printf '%s\\n' "$state"
    shift 2
done
"""


class _Pacman(Family):
    name = "pacman"
    tools = ("usr/bin/pacman",)
    # Arch Linux supports no partial upgrades, so the whole system is upgraded.
    systemd = installing(
        'pacman --sync --refresh --sysupgrade --noconfirm --needed "$@"', systemd="systemd systemd-sysvcompat"
    )
    # Images leave documentation and translations away; what they say of files in /etc is theirs.
    clean = f"set -e\nsed -i '/^NoExtract/{{/etc\\//!d}}' /etc/pacman.conf\n{_SANDBOX}{_SNAPSHOT}{_KEYRING}"
    architecture = "pacman-conf Architecture | sed -n 1p"
    version = "pacman --version | sed -n 's/.*\\(Pacman v[0-9.]*\\).*/\\1/p'"

    format = "arch"
    command = "pacman"
    database = "pacman"
    word = _WORD
    verification = _VERIFICATION
    own_daemons = gpg.DAEMONS

    def resolve(self, words: Sequence[str], *, lists: bool) -> Commands:
        """Return the commands that print what they would install, by the databases that are there."""
        del lists
        return self._commands(words, "--print", "--print-format=%n %v %l")

    def update(self) -> Sequence[str]:
        """Return the command that fails if a database cannot be had."""
        return [*_PACMAN, "--sync", "--refresh"]

    def fetch(self, words: Sequence[str], *, again: Collection[str] = ()) -> Commands:
        """Return the commands that download."""
        del again
        return self._commands(words, "--downloadonly")

    def install(self, words: Sequence[str], *, again: Collection[str] = (), lists: bool = True) -> Commands:
        """Return the commands that install, and install again what is there."""
        del again, lists
        return self._commands(words)

    def plan(self, output: str) -> Plan:
        """Return the plan that `--print` has printed."""
        found = [_STEP.match(line[:LONGEST_LINE]) for line in output.splitlines()]
        steps = [Step(one["name"], one["version"], "", one["place"].startswith(_LOCAL)) for one in found if one]
        return Plan(tuple(steps))

    def reason(self, output: str, status: int = 0) -> Reason:
        """Return the reason from what pacman has printed."""
        del status
        lines = [line[:LONGEST_LINE] for line in output.splitlines()]
        return _of_script(lines) or _of_transaction(lines)

    def broken(self, output: str) -> Reason:
        """Return the script that has failed: pacman only tells of it."""
        return _of_script([line[:LONGEST_LINE] for line in output.splitlines()]) or UNKNOWN

    def running(self, output: str) -> str:
        """Return the package that pacman has begun last: `the install script of web`."""
        begun = [found for line in output.splitlines() if (found := _BEGINS.match(line[:LONGEST_LINE]))]
        return f"the install script of {begun[-1]['package']}" if begun else ""

    def query(self, name: str, architecture: str) -> str:
        """Return its name: there is one architecture."""
        del architecture
        return name

    def files(self, names: Sequence[str]) -> list[str]:
        """Return the command that lists them; directories are among them."""
        return ["pacman", "--query", "--list", "--quiet", "--", *names]

    def _commands(self, words: Sequence[str], *options: str) -> Commands:
        """Files are installed by another operation than packages of the repositories."""
        files = [word for word in words if word.startswith("/")]
        names = [word for word in words if not word.startswith("/")]
        verbs = (("--sync", names), ("--upgrade", files))
        return [[*_PACMAN, verb, *options, "--", *some] for verb, some in verbs if some]


FAMILY = _Pacman()


def _of_script(lines: Sequence[str]) -> Reason | None:
    for number, line in enumerate(lines):
        if not (failed := _SCRIPT_FAILED.match(line)):
            continue
        words: list[str] = []
        package = ""
        for before in reversed(lines[max(0, number - 50) : number]):
            if begun := _BEGINS.match(before):
                package = begun["package"]
                break
            if before.strip() and len(words) < _WORDS:
                words.insert(0, before.strip())
        how = f" (signal {failed['signal']})" if failed["signal"] else ""
        what = f"the install script of {package} failed{how}" if package else f"a hook failed{how}"
        what += f": {telling(words) or words[-1]}" if words else " and printed nothing"
        return Reason(what[:LONGEST], words, ".INSTALL" if package else "", package, line=number)
    return None


def _of_transaction(lines: Sequence[str]) -> Reason:
    for pattern, told in (
        (_DEPENDENCY, "{package} requires {what}, which nothing provides"),
        (_EXISTS, "{path} of {package} is also in the package {other}"),
        (_CONFLICT, "{package} conflicts with {other}"),
        (_ARCHITECTURE, "{package} is not for the architecture of this machine"),
        (_TARGET, "there is no package {what} in the repositories"),
        (_ERROR, "{what}"),
    ):
        for number, line in enumerate(lines):
            if found := pattern.match(line):
                words = found.groupdict()
                if pattern is _EXISTS and not words["other"]:
                    told = "{path} of {package} is there already, and no package has it"
                return Reason(told.format(**words)[:LONGEST], line=number)
    return UNKNOWN
