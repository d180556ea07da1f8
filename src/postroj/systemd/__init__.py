"""A guest's systemd, asked over its bus, whatever kind of machine it is in."""
