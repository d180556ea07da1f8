"""What the families with RPM packages share: rpm's database, and what rpm prints of a failure."""

import re
from collections.abc import Iterator, Sequence

from postroj.family import Family, gpg, verification
from postroj.family.reason import LONGEST, SAID, Reason, cut, words_of
from postroj.lastwords import telling

WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+~^-]*(=[A-Za-z0-9_.+~^:-]+)?")
"""A package name, and what dnf(8) lets follow it: NAME-VERSION, NAME.ARCH; or NAME=VERSION."""

# Fields of the header that rpm keeps: the epoch only if there is one, and digests of the package that it came from.
_SHOWN = r"installed %|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}"
_DIGESTS = "%{SIGMD5} %{SHA1HEADER} %{SHA256HEADER}"

# Status of rpm -q: how many of them are not there.
_BEFORE = """
rpm -q --queryformat '' -- rpm bash >/dev/null 2>&1
[ $? -le 2 ] || exit 1
"""
_LOOK = rf"""
    state=$(rpm -q --queryformat '{_SHOWN}\n' -- "$1" 2>/dev/null) || state=
    state=$(printf '%s\n' "$state" | tail -n 1)
"""
_COMPARE = rf"""
        is=$(rpm -q --queryformat '{_DIGESTS}' -- "$1")
        new=$(rpm -qp --nosignature --queryformat '{_DIGESTS}' -- "$2" 2>/dev/null)
        [ "$is" = "$new" ] || differ=" header"
"""
_VERIFICATION = verification.script("rpm", before=_BEFORE, look=_LOOK, compare=_COMPARE)

_NEVRA = r"(?P<package>[^\s()]+)-[^\s()-]+-[^\s()-]+"
# dnf 5 puts [RPM] before it.
_SCRIPTLET = re.compile(
    r"(?:error: |warning: |\[RPM\] )%(?P<script>\w+)\("
    + _NEVRA
    + r"\) scriptlet failed, (?P<how>exit status \d+|signal \d+)"
)
_NAMES = {"prein": "pre", "postin": "post"}
# By what a spec file calls them; their texts are in these fields of the header.
_FIELDS = {
    "%pre": "PREIN",
    "%post": "POSTIN",
    **{f"%{name}": name.upper() for name in ("preun", "postun", "pretrans", "posttrans")},
}
_BEFORE_FILES = ("%pre", "%pretrans")
_CONFLICT = re.compile(
    r"\s*(?:- )?file (?P<path>/.+) (?:from|conflicts between attempted) (?:install(?:s)? of) "
    + _NEVRA
    + r" (?:conflicts with file from package|and) (?P<other>\S+)-[^\s-]+-[^\s-]+"
)
_UNPACK = re.compile(r"error: unpacking of archive failed(?: on file (?P<path>[^;:\s]+))?[^:]*: (?P<why>.+)")
# The line before a scriptlet's own words.
_BEGINS = re.compile(
    r"\s*(?:Running scriptlet|Installing|Upgrading|Reinstalling|Downgrading|Cleanup|Erasing|Verifying|Preparing)\s*:"
    r"|Additional rpm output:|\(\d+/\d+\) (?:Installing|Removing):|(?:Installation|Removal) of \S+ failed:"
)
_SCRIPTLET_BEGINS = re.compile(r"\s*Running scriptlet\s*: " + _NEVRA)
# Debian's rpm warns of its use; libzypp and dnf put words of their own before rpm's.
_NOISE = re.compile(r"rpm: (?:RPM should not be used|However assuming you know)|Additional rpm output:")
_NOT_RUN = re.compile(r"error: failed to exec scriptlet interpreter (?P<path>\S+): No such file or directory")
_PREFIX = re.compile(r"^Error: Subprocess failed\. Error: RPM failed: ")
_RECOMMENDS = "postroj-recommends"


def scriptlet(lines: Sequence[str]) -> Reason | None:
    """Return the first scriptlet that has failed: `the %post scriptlet of web failed (exit status 3): no such user`."""
    return next(scriptlets(lines), None)


def scriptlets(lines: Sequence[str]) -> Iterator[Reason]:
    """Yield the scriptlets that have failed, by rpm's words. A script that succeeds may print such words as well."""
    for number, line in enumerate(lines):
        if found := _SCRIPTLET.search(line):
            said = _said(lines[:number], line[: found.start()])
            script = f"%{_NAMES.get(found['script'], found['script'])}"
            yield failure(script, found["package"], found["how"], said, number)


def failure(script: str, package: str, how: str, said: Sequence[str], number: int) -> Reason:
    """Return the reason that names a scriptlet, as a spec file calls it, and the last that it has said."""
    words = words_of(said)
    if words and (not_run := _NOT_RUN.fullmatch(words[-1])):
        what = f"the {script} scriptlet of {package} cannot be run: its interpreter {not_run['path']} does not exist"
        return Reason(what[:LONGEST], words, f"{script} scriptlet", package, line=number)
    what = f"the {script} scriptlet of {package} failed ({how})"
    what += f": {telling(said) or words[-1]}" if words else " and printed nothing"
    return Reason(what[:LONGEST], words, f"{script} scriptlet", package, line=number)


def transaction(lines: Sequence[str]) -> Reason | None:
    """Return the reason if rpm has refused a transaction, or has failed to unpack a package."""
    for number, line in enumerate(lines):
        if found := _CONFLICT.match(line):
            what = f"{found['path']} of {found['package']} is also in the package {found['other']}"
            return Reason(what[:LONGEST], line=number)
        if found := _UNPACK.search(line):
            path = f"{found['path']}: " if found["path"] else ""
            return Reason(f"a package cannot be unpacked: {path}{found['why']}"[:LONGEST], line=number)
    return None


def running(output: str) -> str:
    """Return the package whose scriptlet was begun last: `a scriptlet of web`; empty if rpm has begun none."""
    begun = [line for line in cut(output) if _BEGINS.match(line)]
    found = _SCRIPTLET_BEGINS.match(begun[-1]) if begun else None
    return f"a scriptlet of {found['package']}" if found else ""


def recommends(words: Sequence[str]) -> list[str]:
    """Return the command that prints what files recommend: it fails for what is no file, and if rpm is before 4.12."""
    return ["rpm", "-qp", "--nosignature", "--queryformat", f"[{_RECOMMENDS} %{{RECOMMENDNAME}}\\n]", "--", *words]


def recommended(lines: Sequence[str]) -> tuple[str, ...]:
    """Return what that command has printed."""
    return tuple(line.split(" ", 1)[1] for line in lines if line.startswith(f"{_RECOMMENDS} "))


def _said(lines: Sequence[str], last: str) -> list[str]:
    """Return what was printed last, since rpm has begun something."""
    last = _PREFIX.sub("", last)
    found = [last] if last.strip() else []
    for line in reversed(lines[-SAID:]):
        if _BEGINS.match(line) or _SCRIPTLET.search(line):
            break
        line = _PREFIX.sub("", line)
        if line.strip() and not _NOISE.match(line):
            found.insert(0, line)
    return found


class RpmDatabase(Family):
    """A family whose packages rpm knows."""

    database = "rpm"
    architecture = "rpm --eval '%{_arch}'"

    def query(self, name: str, architecture: str) -> str:
        """Return NAME.ARCH."""
        return f"{name}.{architecture}"

    def files(self, names: Sequence[str]) -> list[str]:
        """Return rpm's command."""
        return ["rpm", "-q", "--list", "--", *names]

    def integrity(self, names: Sequence[str]) -> list[str]:
        """Return rpm's command."""
        return ["rpm", "--verify", "--", *names]

    def versions(self, name: str) -> list[str]:
        """Return the command that prints `installed` and the version, with its epoch if there is one."""
        return ["rpm", "-q", f"--queryformat={_SHOWN}\\n", "--", name]


class RpmFamily(RpmDatabase):
    """What dnf, yum and zypper have in common."""

    format = "rpm"
    word = WORD
    verification = _VERIFICATION
    own_daemons = gpg.DAEMONS
    new_config = (".rpmnew",)
    saved_config = (".rpmsave", ".rpmorig")

    def config_files(self, names: Sequence[str]) -> list[str]:
        """Return rpm's command; for a package without any it prints a remark."""
        return ["rpm", "-q", "--configfiles", "--", *names]

    def read_config_files(self, output: str) -> list[str]:
        """Return the lines that are paths."""
        return [line for line in output.splitlines() if line.startswith("/")]

    def script(self, failed: Reason, file: str = "") -> list[str]:
        """Return the command that prints it: of the package's file if the package is not installed yet."""
        name = failed.script.split()[0]
        if name not in _FIELDS:
            return []
        from_file = ["-qp", "--nosignature", "--", file]
        which = from_file if file and name in _BEFORE_FILES else ["-q", "--", failed.package]
        return ["rpm", "--queryformat", f"%{{{_FIELDS[name]}}}\\n", *which]

    def is_version(self, wanted: str, installed: str) -> bool:
        """Return whether it is; it may have been asked for without its epoch and its release."""
        if ":" not in wanted:
            installed = installed.rpartition(":")[2]
        return wanted in (installed, installed.rpartition("-")[0])
