"""What Vagrant says of boxes and Vagrantfiles that are wrong, in one sentence each."""

import re
from collections.abc import Callable
from typing import TypeVar

from postroj.deadline import Deadline
from postroj.errors import DeadlineError, HostError, OverdueError, ToolError, UsageError
from postroj.vm.box import Box
from postroj.vm.domains import with_hint

T = TypeVar("T")

_OF_BOXES = (
    (r"((?:Failed to connect|Could not resolve host)[^\n]*)", "{box} cannot be downloaded: {1}"),
    (r"box you're attempting to add doesn't support the provider", "{box} is not there for the provider {provider}"),
    (r"box you're attempting to add has no available version", "{box} is not there in the version {version}"),
    (r"could not be found or\s+could not be accessed in the remote catalog|error: 404", "there is no box {box}"),
    (r"doesn't match the provider you specified", "{box} is not for the provider {provider}"),
    (r"box failed to unpackage|not a valid box|metadata for the box was malformed", "{box} is not a box of Vagrant"),
    (r"An error occurred while downloading the remote file", "{box} cannot be downloaded"),
    (r"The provider '([\w-]+)' could not be found", "Vagrant lacks its plugin for the provider {1}"),
    (r"The provider '([\w-]+)' that was requested to back", "the provider {1} is not usable on this host"),
    (r"cannot load such file -- winrm", "this Vagrant cannot speak WinRM, as {box} needs: HashiCorp's own can"),
)
_OF_VAGRANTFILES = (
    r"There is a syntax error in the following Vagrantfile.*?convenience:\s+(?P<why>\S[^\n]*)",
    r"There was an error loading a Vagrantfile.*?Line number: (?P<line>[^\n]*)\s+Message: (?P<why>[^\n]*)",
    r"There are errors in the configuration of this machine.*?try again:\s+(?P<why>\S.*?)(?:\n\n|\Z)",
)


def told(do: Callable[[], T], box: Box, subject: str, deadline: Deadline) -> T:
    """Run Vagrant for a box; an error that it is known for becomes one sentence. Raises HostError, UsageError.

    If it was ended at the deadline, it is said that the subject was not ready: DeadlineError.
    """
    try:
        return with_hint(do)
    except ToolError as error:
        if isinstance(error, OverdueError) and deadline.expired():
            what = f"{subject} was not ready within {deadline.seconds:g} s"
            raise DeadlineError(what, why=error.why, hint="see --timeout") from error
        if box.directory and (found := _mistake(error.why)):
            raise of_vagrantfile(box, found, error.why) from error
        for pattern, what in _OF_BOXES:
            if match := re.search(pattern, error.why):
                raise HostError(_filled(what, match, box), why=error.why) from error
        raise


def of_vagrantfile(box: Box, what: str, why: str = "") -> UsageError:
    """Return the error for a mistake in a Vagrantfile of the user's."""
    own = re.sub(r"/\S+/user/Vagrantfile", "Vagrantfile", what)  # Vagrant tells of the copy
    return UsageError(f"the Vagrantfile in {box.directory} has a mistake: {own}", why=why)


def _filled(what: str, found: re.Match[str], box: Box) -> str:
    groups = [group or "" for group in (found[0], *found.groups())]
    called = box.file or box.name or box.directory
    return what.format(*groups, box=called, provider=box.provider, version=box.version)


def _mistake(said: str) -> str:
    """Return what Vagrant says of a wrong Vagrantfile, in one line; empty if it says nothing of that."""
    for pattern in _OF_VAGRANTFILES:
        if found := re.search(pattern, said, re.DOTALL):
            told = found.groupdict()
            line = f"line {told['line']}: " if re.fullmatch("[1-9][0-9]*", told.get("line") or "") else ""
            return line + " ".join(told["why"].split())[:300]
    return ""
