"""`python -m postroj.image` provides the images of all available distributions."""

import argparse

from postroj.cli import execute, leave

argparse.ArgumentParser(prog="python -m postroj.image", description=__doc__).parse_args()
leave(execute(["pull", "--all"]))
