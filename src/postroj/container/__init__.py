"""The nspawn machine. Its names are imported on use: a command in a machine that runs needs nothing that starts one."""

TYPE_CHECKING = False

if TYPE_CHECKING:
    from postroj.container.container import Container
    from postroj.container.launch.binds import Bind
    from postroj.container.lifecycle import sweep
    from postroj.container.options import Options

__all__ = ["Bind", "Container", "Options", "sweep"]

if not TYPE_CHECKING:  # a type checker would take any name for one that is there
    _MODULES = {"Bind": "launch.binds", "Container": "container", "Options": "options", "sweep": "lifecycle"}

    def __getattr__(name: str) -> object:
        """Import a name when it is used for the first time: PEP 562."""
        if name not in _MODULES:
            raise AttributeError(f"module 'postroj.container' has no attribute {name!r}")
        import importlib

        value = getattr(importlib.import_module(f"postroj.container.{_MODULES[name]}"), name)
        globals()[name] = value
        return value
