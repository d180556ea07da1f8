"""The guest's side: its systemd, its streams, its files."""
