"""The nspawn machine."""

from postroj.container.container import Bind, Container, sweep

__all__ = ["Bind", "Container", "sweep"]
