"""What differs with a guest of FreeBSD or OpenBSD. None was booted in the tests."""
