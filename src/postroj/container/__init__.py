"""The nspawn machine."""

from postroj.container.container import Bind, Container, sweep
from postroj.container.options import Options

__all__ = ["Bind", "Container", "Options", "sweep"]
