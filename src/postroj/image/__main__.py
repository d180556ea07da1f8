"""`python -m postroj.image` provides the images of all available distributions."""

from postroj.cli import leave, run

leave(run(["pull", "--all"]))
