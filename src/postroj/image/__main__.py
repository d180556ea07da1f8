"""`python -m postroj.image` provides the images of all available distributions."""

from postroj.cli import execute, leave

leave(execute(["pull", "--all"]))
