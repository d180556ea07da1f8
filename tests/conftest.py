"""What holds for all tests."""

import signal


def pytest_configure() -> None:
    """Take back the signals that whoever started us has ignored (nohup, `&`): children would ignore them as well."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for signum in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_DFL)
