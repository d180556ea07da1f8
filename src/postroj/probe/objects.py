"""What an error is about that does not name it: the port that is taken, the address, the file, the source line."""

import os
import re
from collections.abc import Collection

from postroj.contract import Machine, UnitFacts
from postroj.probe import evidence, holders, tmpfiles, told, traceback, users
from postroj.probe.unitfile import UnitFile

_NO_ADDRESS = re.compile(r"Cannot assign requested address|EADDRNOTAVAIL", re.IGNORECASE)
_REFUSED = re.compile(r"Connection refused|ECONNREFUSED", re.IGNORECASE)
_ABSENT = re.compile(r"No such file or directory|ENOENT", re.IGNORECASE)
_PORT = re.compile(r"(?:port[^\d\[]{0,12}|listen[^\w\[]{1,3}|[\w.\]*=\s]:|['\"], )(\d{2,5})\b", re.IGNORECASE)
_IPV4 = re.compile(r"(?<![\d.])((?:\d{1,3}\.){3}\d{1,3})(?![\d.])")
_LOCAL = re.compile(r"\|-- (\S+)\n\s+/32 host LOCAL")
_PATH = re.compile(r"(?<![\w/.-])(/[^\s:'\",()]+)['\"]?(?:[):,. ]|$)")
_LIBRARY = re.compile(r"error while loading shared libraries: ([^\s/:]+):")
_ELSEWHERE = ("0.", "127.", "255.")


class Error:
    """An error of a service, with all that may say what it is about."""

    def __init__(
        self,
        machine: Machine,
        name: str,
        line: str,
        words: str,
        facts: UnitFacts,
        file: UnitFile,
        ports: Collection[int],
    ) -> None:
        """Take the line that tells most, all `words` that were printed, and the ports that are to be checked."""
        self._machine = machine
        self._name = name
        self._line = line
        self._facts = facts
        self._file = file
        self._ports = ports
        self._frames = traceback.frames(words.splitlines()) if "Traceback (most" in words else []
        self._own = traceback.own(self._frames) if traceback.is_bare(line) else None

    @property
    def shown(self) -> str:
        """Return the line, and what its program did in the source line that it is about."""
        return f"{self._line}, {self._own.shown}" if self._own else self._line

    @property
    def text(self) -> str:
        """Return the line, and the source lines that have led to it, for patterns."""
        sources = [one.source for one in self._frames[-1:]] if self._own else []
        return " ".join([*sources, *([self._own.source] if self._own else []), self._line])

    def clause(self) -> str:
        """Return what it is about, as a clause; empty if that is not known, or said."""
        for pattern, find in (
            (told.IN_USE, self._holder),
            (_NO_ADDRESS, self._foreign_address),
            (_REFUSED, self._nobody),
            (_ABSENT, self._absent),
            (told.DENIED, self._barred),
            (told.READ_ONLY, self._barred),
        ):
            if pattern.search(self._line):
                return find()
        return ""

    def _holder(self) -> str:
        """Return who has a port: the one that is mentioned, or to be checked, or else the only one that is taken."""
        if _PATH.search(self._line):  # a UNIX socket
            return ""
        found = holders.holders(self._machine, protocols=("tcp", "udp"))
        taken = [one for one in found if one.unit not in (self._name, holders.PID_1)]
        ports = {one.port for one in taken}
        for mentioned in (self._mentioned(), set(self._ports), self._configured(), ports if len(ports) == 1 else set()):
            if held := next((one for one in taken if one.port in mentioned), None):
                return f"{held.port} is held by {held}"
        return ""

    def _nobody(self) -> str:
        """Return the port on which nothing listens that was to be connected to, if it is one of the guest's."""
        mentioned = self._mentioned()
        if not mentioned or not re.search(r"localhost|127\.|::1|\(\s*['\"]['\"]", self.text):
            return ""
        missing = sorted(mentioned - holders.ports(self._machine))
        return f"nothing listens on port {missing[0]}" if missing else ""

    def _foreign_address(self) -> str:
        """Return the address that is mentioned, or configured, and not the guest's."""
        own = set(_LOCAL.findall(evidence.ask(self._machine, ["cat", "/proc/net/fib_trie"])))
        for text in (self.text, self._settings(), self._configuration()):
            for address in _IPV4.findall(text):
                if own and address not in own and not address.startswith(_ELSEWHERE):
                    return f"{address} is not an address of this machine"
        return ""

    def _absent(self) -> str:
        if found := _LIBRARY.search(self._line):
            there = evidence.elsewhere(self._machine, found[1])
            return f"{there[0]} is where the loader does not look" if there else ""
        if clause := tmpfiles.not_applied(self._machine, self.text):
            return clause
        named = _PATH.findall(self._line)
        meant = evidence.like(self._machine, os.path.normpath(named[-1])) if named else ""
        return f"there is {meant}" if meant else ""

    def _barred(self) -> str:
        """Return what its user may not do; a dynamic one has directories that only it can enter, while it runs."""
        user = "" if self._file.is_on("DynamicUser") else self._facts.user
        if not user or re.search(r"\b(?:bind|listen|port)\b|\.bind\(", self.text):
            return ""
        return users.barred(self._machine, self._name, user, self._line, self._file)

    def _mentioned(self) -> set[int]:
        return _ports(self.text)

    def _configured(self) -> set[int]:
        return _ports(self._settings()) | _ports(self._configuration())

    def _settings(self) -> str:
        values = [value for key in ("ExecStart", "Environment") for value in self._file.settings.get(key, ())]
        return "\n".join(f" {value}" for value in values)

    def _configuration(self) -> str:
        return evidence.configuration(self._machine, self._name)


def _ports(text: str) -> set[int]:
    return {port for found in _PORT.findall(text) if 0 < (port := int(found)) < 1 << 16}
