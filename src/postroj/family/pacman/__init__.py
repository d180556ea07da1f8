"""Arch Linux: rolling, so what is installed is upgraded with the rest."""

import re
from collections.abc import Collection, Sequence

from postroj.family import Commands, Family, gpg, verification
from postroj.family.bootable import installing
from postroj.family.pacman import cache
from postroj.family.plan import Plan, Step
from postroj.family.reason import LONGEST, UNKNOWN, Reason, cut, words_of
from postroj.family.repository import Addition, Repository, Syntax
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

_ADDED = "/etc/pacman.d/postroj.conf"
_INCLUDE = f"""
printf '\\nInclude = {_ADDED}\\n' >>/etc/pacman.conf
"""

# Its arguments are the files of keys: that each is added is not enough, it has to be vouched for.
_TRUST = r"""
for file; do
    pacman-key --add "$file" || exit 1
    for key in $(gpg --batch --with-colons --show-keys "$file" | sed -n '/^pub:/{n;s/^fpr:*\([0-9A-F]*\):$/\1/p}'); do
        pacman-key --lsign-key "$key" || exit 1
    done
done
"""

_PACMAN = ("pacman", "--noconfirm", "--noprogressbar")
_WORD = re.compile(r"[A-Za-z0-9@_+][A-Za-z0-9@._+-]*(?<!-)")

# What is printed of a package is by pacman's own format, as its words for humans change.
_STEP = re.compile(r"(?P<name>\S+) (?P<version>\S+) (?P<place>/\S+|\w+://\S+)$")
_LOCAL = "/run/postroj/"
_CHANGES = ":: Processing package changes..."
_BEGINS = re.compile(r"(?P<verb>installing|reinstalling|upgrading|downgrading|removing) (?P<package>\S+?)\.\.\.$")
_SCRIPT_FAILED = re.compile(
    r"error: (?:command failed to execute correctly|command terminated by signal (?P<signal>\d+).*)$"
)
_SCRIPT = "install script"
_HOOKS = re.compile(r":: Running (?:pre|post)-transaction hooks\.\.\.$")
_HOOK = re.compile(r"\(\s*\d+/\d+\) (?P<what>\S.*)")
_WITHIN = 200
"""How many lines of a script's own are looked at."""
_DEPENDENCY = re.compile(r":: unable to satisfy dependency '(?P<what>.+)' required by (?P<package>\S+)$")
_EXISTS = re.compile(r"(?P<package>[^\s:]+): (?P<path>/.+) exists in filesystem(?: \(owned by (?P<other>\S+)\))?$")
_BOTH = re.compile(r"(?P<path>/.+) exists in both '(?P<package>.+)' and '(?P<other>.+)'$")
_CONFLICT = re.compile(r":: (?P<package>\S+) and (?P<other>\S+) are in conflict")
_UNSIGNED = re.compile(r"error: '(?:/.*/)?(?P<file>[^/]+)': package missing required signature")
_TARGET = re.compile(r"error: target not found: (?P<what>.+)")
_ARCHITECTURE = re.compile(r":: package (?P<package>\S+) does not have a valid architecture")
_ERROR = re.compile(r"error: (?P<what>.+)")

_BEFORE = """
export LC_ALL=C
pacman --query --quiet >/dev/null 2>&1 || exit 1
"""
_LOOK = """
    state=$(pacman --query -- "$1" 2>/dev/null) && state="installed ${state#* }"
"""
# The date of its build, its packager and its size tell two builds of one version apart.
_COMPARE = """
        is=$(pacman --query --info -- "$1" | grep -E '^(Build Date|Packager|Installed Size)')
        new=$(pacman --query --info --file -- "$2" | grep -E '^(Build Date|Packager|Installed Size)')
        [ "$is" = "$new" ] || differ=" .PKGINFO"
"""
_VERIFICATION = verification.script("pacman", before=_BEFORE, look=_LOOK, compare=_COMPARE)

# Its arguments are names; pacman's own output has another form in each of its versions.
_BACKUP = """
for name; do
    found=$(pacman --query -- "$name") || continue
    sed -n '/^%BACKUP%$/,/^$/p' -- "/var/lib/pacman/local/${found% *}-${found#* }/files"
done
"""

_SHOW = """
found=$(pacman --query -- "$1") && cat -- "/var/lib/pacman/local/${found% *}-${found#* }/install"
"""


class _Pacman(Family):
    name = "pacman"
    tools = ("usr/bin/pacman",)
    # Arch Linux supports no partial upgrades, so the whole system is upgraded.
    systemd = installing(
        'pacman --sync --refresh --sysupgrade --noconfirm --needed "$@"',
        systemd="systemd systemd-sysvcompat",
        users="shadow",
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
    repository = Syntax("URL NAME", re.compile(r"(?!(?:options|local)$)[A-Za-z0-9][A-Za-z0-9._+@-]*"))
    unknown_key = re.compile(
        r"signature from \".*\" is (?:unknown|marginal|never) trust"
        r"|required key missing from keyring|key \".*\" (?:could not be|is (?:unknown|disabled))"
    )
    unsigned = re.compile(r"missing required signature|failed retrieving file '[^']*\.sig' .* 404")
    own_daemons = gpg.DAEMONS
    logs = ("/var/log/pacman.log",)
    downgrades = True
    purges = True
    new_config = (".pacnew",)
    saved_config = (".pacsave",)
    kept = cache.kept([*_PACMAN, "--sync", "--refresh"])

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

    def is_unchanged(self, output: str) -> bool:
        """Return whether no package was about to be changed."""
        return _CHANGES not in output and not any(map(_BEGINS.match, output.splitlines()))

    def remove(self, names: Sequence[str]) -> Commands:
        """Return the command that keeps configuration files that were changed, as .pacsave."""
        return [[*_PACMAN, "--remove", "--cascade", "--", *names]]

    def purge(self, names: Sequence[str]) -> Commands:
        """Return the command that keeps none; it takes packages that are installed only."""
        return [[*_PACMAN, "--remove", "--cascade", "--nosave", "--", *names]]

    def add_repositories(self, repositories: Sequence[Repository], keys: Sequence[str]) -> Addition:
        """Return a file for pacman.conf(5) to include, and the commands that have pacman trust the keys."""
        sections = []
        for one in repositories:
            level = "Required DatabaseOptional" if one.is_signed else "Never"
            sections.append(f"[{one.words[0]}]\nSigLevel = {level}\nServer = {one.url}\n")
        trust = [["sh", "-c", _TRUST, "sh", *keys]] if keys else []
        return Addition({_ADDED: "\n".join(sections)}, [*trust, ["sh", "-c", _INCLUDE]])

    def plan(self, output: str) -> Plan:
        """Return the plan that `--print` has printed."""
        found = [_STEP.match(line) for line in cut(output)]
        steps = [Step(one["name"], one["version"], "", one["place"].startswith(_LOCAL)) for one in found if one]
        return Plan(tuple(steps))

    def removed(self, output: str) -> Sequence[str]:
        """Return the packages that pacman has begun to remove."""
        begun = filter(None, map(_BEGINS.match, cut(output)))
        return [found["package"] for found in begun if found["verb"] == "removing"]

    def reason(self, output: str, status: int = 0) -> Reason:
        """Return the reason from what pacman has printed."""
        del status
        lines = cut(output)
        return _of_script(lines) or _of_transaction(lines)

    def broken(self, output: str) -> Reason:
        """Return the script that has failed: pacman only tells of it."""
        return _of_script(cut(output)) or UNKNOWN

    def running(self, output: str, processes: Collection[str] = ()) -> str:
        """Return the package that pacman has begun last: `the install script of web`."""
        del processes
        begun = [found for line in cut(output) if (found := _BEGINS.match(line))]
        return f"the install script of {begun[-1]['package']}" if begun else ""

    def script(self, failed: Reason, file: str = "") -> list[str]:
        """Return the command that prints the script, of which pacman keeps that of what is installed."""
        del file
        return ["sh", "-c", _SHOW, "sh", failed.package] if failed.package else []

    def query(self, name: str, architecture: str) -> str:
        """Return its name: there is one architecture."""
        del architecture
        return name

    def integrity(self, names: Sequence[str]) -> list[str]:
        """Return pacman's command."""
        return ["pacman", "-Qkk", "--", *names]

    def files(self, names: Sequence[str]) -> list[str]:
        """Return the command that lists them; directories are among them."""
        return ["pacman", "--query", "--list", "--quiet", "--", *names]

    def config_files(self, names: Sequence[str]) -> list[str]:
        """Return the command that prints them as pacman's database has them, with their checksums."""
        return ["sh", "-c", _BACKUP, "sh", *names]

    def read_config_files(self, output: str) -> list[str]:
        """Return the paths: there they have no slash in front."""
        return [f"/{path}" for path, tab, _ in (line.rpartition("\t") for line in output.splitlines()) if tab]

    def versions(self, name: str) -> list[str]:
        """Return the command that prints the name and the version."""
        return ["pacman", "--query", "--", name]

    def _commands(self, words: Sequence[str], *options: str) -> Commands:
        """Files are installed by another operation than packages of the repositories."""
        files = [word for word in words if word.startswith("/")]
        names = [word for word in words if not word.startswith("/")]
        verbs = (("--sync", names), ("--upgrade", files))
        return [[*_PACMAN, verb, *options, "--", *some] for verb, some in verbs if some]


FAMILY = _Pacman()


def _of_script(lines: Sequence[str]) -> Reason | None:
    failed = next(filter(None, map(_SCRIPT_FAILED.match, lines)), None)
    if not failed:
        return None
    number = lines.index(failed.string)
    words: list[str] = []
    package = hook = ""
    for before in reversed(lines[max(0, number - _WITHIN) : number]):
        if begun := _BEGINS.match(before):
            package = begun["package"]
            break
        if _HOOKS.match(before):
            # What stands before the description of a hook is of another one.
            for place in reversed(range(len(words))):
                if named := _HOOK.match(words[place].strip()):
                    hook, words = f' "{named["what"]}"', words[place + 1 :]
                    break
            break
        if before.strip():
            words.insert(0, before)
    said, words = words, words_of(words)
    what = f"the {_SCRIPT} of {package} failed" if package else f"the hook{hook} failed"
    what += f" (signal {failed['signal']})" if failed["signal"] else ""
    what += f": {telling(said) or words[-1]}" if words else " and printed nothing"
    return Reason(what[:LONGEST], words, _SCRIPT if package else "", package, line=number)


def _of_transaction(lines: Sequence[str]) -> Reason:
    for pattern, told in (
        (_DEPENDENCY, "{package} requires {what}, which nothing provides"),
        (_EXISTS, "{path} of {package} is also in the package {other}"),
        (_BOTH, "{path} of {package} is also in the package {other}"),
        (_CONFLICT, "{package} conflicts with {other}"),
        (_ARCHITECTURE, "{package} is not for the architecture of this machine"),
        (_UNSIGNED, "{file} is not signed, which pacman.conf of this image asks for by LocalFileSigLevel"),
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
