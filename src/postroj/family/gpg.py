"""What families that check signatures by GnuPG share."""

DAEMONS = ("gpg-agent", "dirmngr", "keyboxd", "scdaemon")
"""Started by gpg(1), and left running."""
