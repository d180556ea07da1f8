"""Boot a real operating system with a real systemd, put a package into it, and say whether the package works.

    with postroj.machine("debian-bookworm") as machine:
        machine.install("./hello_1.0_all.deb")
        machine.command(["systemctl", "is-active", "hello"])

The names of `__all__` are public: docs/python.md. Each is imported when it is used, so that `import postroj` is quick.
"""

TYPE_CHECKING = False
"""What type checkers take for typing.TYPE_CHECKING, as they know the name: to import typing takes 5 ms."""

if TYPE_CHECKING:
    from postroj import errors, events, report
    from postroj.api import Machine, machine
    from postroj.container.options import Options, Publish
    from postroj.contract import Change, Changes, Completed, UnitFacts, UnitState, UnitWatch
    from postroj.errors import (
        DeadlineError,
        HostError,
        InstallError,
        LimitError,
        MachineLostError,
        NotInstalledError,
        PostrojError,
        RebootError,
        UsageError,
    )
    from postroj.harness import Request, Result, Verdict, pkgprobe
    from postroj.harness.result import PhaseResult, Tested, UnitRow
    from postroj.package.install import Installed
    from postroj.probe import Finding, Outcome

__version__ = "0.1.0"

__all__ = [
    "Change", "Changes", "Completed", "DeadlineError", "Finding", "HostError", "InstallError", "Installed",
    "LimitError", "Machine", "MachineLostError", "NotInstalledError", "Options", "Outcome", "PhaseResult",
    "PostrojError", "Publish", "RebootError", "Request", "Result", "Tested", "UnitFacts", "UnitRow", "UnitState",
    "UnitWatch", "UsageError", "Verdict", "errors", "events", "machine", "pkgprobe", "report",
]  # fmt: skip

_MODULES = {
    "api": ("Machine", "machine"),
    "container.options": ("Options", "Publish"),
    "contract": ("Change", "Changes", "Completed", "UnitFacts", "UnitState", "UnitWatch"),
    "errors": (
        "DeadlineError", "HostError", "InstallError", "LimitError", "MachineLostError", "NotInstalledError",
        "PostrojError", "RebootError", "UsageError",
    ),
    "harness": ("Request", "Result", "Verdict", "pkgprobe"),
    "harness.result": ("PhaseResult", "Tested", "UnitRow"),
    "package.install": ("Installed",),
    "probe": ("Finding", "Outcome"),
}  # fmt: skip
"""Where the public names come from. None may be the name of a module here: an import would put that in its place."""

if not TYPE_CHECKING:  # a type checker would take any name for one that is there

    def __getattr__(name: str) -> object:
        """Import a public name when it is used for the first time: PEP 562."""
        import importlib

        if name in ("errors", "events", "report"):
            return importlib.import_module(f"postroj.{name}")
        for module, names in _MODULES.items():
            if name in names:
                value = getattr(importlib.import_module(f"postroj.{module}"), name)
                globals()[name] = value
                return value
        raise AttributeError(f"module 'postroj' has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
