"""Boot a real operating system with a real systemd, put a package into it, and say whether the package works."""

__version__ = "0.1.0"
