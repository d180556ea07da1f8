"""The `postroj` command, as a program and as `python -m postroj`."""

import gc
import signal


def main() -> None:
    """Run it. Until it has handlers of its own, Ctrl-C ends it without Python's traceback."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.disable()  # until a command begins: imports make no garbage, and looking for it takes a tenth of their time
    from postroj import cli

    cli.main()


if __name__ == "__main__":
    main()
