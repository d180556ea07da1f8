"""`python -m postroj` is the `postroj` command."""

from postroj.cli import main

main()
