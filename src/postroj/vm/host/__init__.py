"""The Linux VM that runs what needs Linux, on hosts that do not run it, or if POSTROJ_HOST=vm asks for it."""
