"""x."""
import argparse
def configure(p: argparse.ArgumentParser) -> None: ...
def handle(a: argparse.Namespace) -> int:
    return 0
