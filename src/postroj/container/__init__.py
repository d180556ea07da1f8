"""The nspawn machine."""

from postroj.container.container import Container
from postroj.container.launch.binds import Bind
from postroj.container.lifecycle import sweep
from postroj.container.options import Options

__all__ = ["Bind", "Container", "Options", "sweep"]
