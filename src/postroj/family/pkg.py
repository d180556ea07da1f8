"""FreeBSD: pkg(8). No guest of it was booted in the tests."""

import re
from collections.abc import Collection, Sequence

from postroj.family import Commands, Family
from postroj.family.plan import Plan
from postroj.family.reason import Reason, cut

_SAID = re.compile(r"^(?:pkg|pkg-static): (?P<what>.+)$")
# The script is fixed; names and files are its arguments, in pairs.
_VERIFY = """
while [ $# -gt 0 ]; do
    pkg query 'installed %v' "$1" 2>/dev/null || echo 'unknown '
    shift 2
done
"""


class _Pkg(Family):
    name = "pkg"
    tools = ("usr/local/sbin/pkg",)
    architecture = "pkg config ABI"
    version = "echo pkg $(pkg -v)"
    format = "pkg"
    command = "pkg"
    database = "pkg"
    word = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
    environment = {"ASSUME_ALWAYS_YES": "yes"}  # noqa: RUF012  # as the others have it
    verification = _VERIFY

    def resolve(self, words: Sequence[str], *, lists: bool) -> Commands:
        return []

    def plan(self, output: str) -> Plan:
        return Plan()

    def update(self) -> Sequence[str]:
        return ["pkg", "update"]

    def fetch(self, words: Sequence[str], *, again: Collection[str] = ()) -> Commands:
        names = [word for word in words if not _is_file(word)]
        return [["pkg", "fetch", "-y", "-d", *names]] if names else []

    def install(self, words: Sequence[str], *, again: Collection[str] = (), lists: bool = True) -> Commands:
        files = [word for word in words if _is_file(word)]
        names = [word for word in words if not _is_file(word)]
        add = [["pkg", "add", "-f", *files]] if files else []
        return [*add, *([["pkg", "install", "-y", "-f", *names]] if names else [])]

    def remove(self, names: Sequence[str]) -> Commands:
        return [["pkg", "delete", "-y", *names]]

    def removed(self, output: str) -> Sequence[str]:
        return ()

    def reason(self, output: str, status: int = 0) -> Reason:
        lines = cut(output)
        for number, line in enumerate(lines):
            if found := _SAID.match(line):
                return Reason(found["what"], words=lines[-12:], line=number)
        return Reason()

    def running(self, output: str, processes: Collection[str] = ()) -> str:
        return ""

    def query(self, name: str, architecture: str) -> str:
        return name

    def files(self, names: Sequence[str]) -> list[str]:
        return ["pkg", "query", "%Fp", *names]

    def config_files(self, names: Sequence[str]) -> list[str]:
        return ["true"]

    def read_config_files(self, output: str) -> list[str]:
        return []

    def integrity(self, names: Sequence[str]) -> list[str]:
        return ["pkg", "check", "-s", *names]

    def read_changed_config(self, output: str) -> list[str]:
        return []

    def versions(self, name: str) -> list[str]:
        return ["pkg", "query", "installed %v", name]


def _is_file(word: str) -> bool:
    return word.startswith("/")


FAMILY = _Pkg()
