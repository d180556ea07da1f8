"""The exception tree: each error says what happened, why, and what to do next, and carries its exit status."""

from signal import Signals


class PostrojError(Exception):
    """Root of all errors of postroj.

    `what` is one sentence without a full stop, `why` what the failing part said (may be many lines),
    `hint` what to do next. `status` is the exit status of `postroj pkgprobe`.
    """

    status = 3

    def __init__(self, what: str, *, why: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.hint = hint


class UsageError(PostrojError):
    """The request is invalid; found before anything boots."""

    status = 2


class HostError(PostrojError):
    """The host, the image or the harness failed, never the package."""


class MissingToolError(HostError):
    """A host program is not there."""


class ToolError(HostError):
    """A host program failed; `why` holds both its streams."""


class OverdueError(ToolError):
    """A host program did not end in the time that it had."""


class ImageError(HostError):
    """An image is missing or damaged."""


class DownloadError(HostError):
    """A file could not be fetched whole and right."""


class BootError(HostError):
    """The guest did not come up; `how` says it without the machine's name."""

    how = ""


class MachineLostError(HostError):
    """The guest went away while it was needed; `by_guest` says that it did so of its own accord."""

    by_guest = False


class RebootError(HostError):
    """The guest did not end its shutdown, or did not boot again, for which a package can be to blame.

    `phase` is "shutdown" or "boot", and `units` are those that it waits for, or that still have processes.
    """

    phase = "boot"
    units: tuple[str, ...] = ()


class DeadlineError(HostError):
    """The time that was given has run out."""


class RefusedError(HostError):
    """The guest's systemd refused a request."""


class GuestSetupError(HostError):
    """The guest's systemd could not start a command as asked for: no such user, for example."""


class NotInstalledError(PostrojError):
    """The guest's package manager did not install, or did not remove, what was asked for."""

    excerpt = ""
    """The lines of `why` that say most."""


class InstallError(NotInstalledError):
    """The guest's package manager refused or failed to install: the package's fault."""

    status = 1


class RemoveError(NotInstalledError):
    """The guest's package manager refused or failed to remove a package: the package's fault."""

    status = 1


class LimitError(NotInstalledError):
    """The machine lacks what a package needs to be installed or removed: nobody's fault."""


class InterruptedProbeError(HostError):
    """A signal has ended a probe: the error of a result, never raised. `status` is 128 and the signal's number."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"interrupted by {Signals(signum).name}")
        self.status = 128 + signum


class Terminated(BaseException):
    """A signal asked the process to end; `signum` is its number."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum
