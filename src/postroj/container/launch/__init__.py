"""One systemd-nspawn process, and what is mounted and mapped for it."""
