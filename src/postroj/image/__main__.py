"""`python -m postroj.image` provides the images of all available distributions."""

from postroj.cli import Parser, execute, program


def _main() -> int:
    Parser(prog="python -m postroj.image", description=__doc__).parse_args()
    return execute(["pull", "--all"])


program(_main)
