"""What integration tests share."""

import os
import subprocess
import sys
from collections.abc import Callable

STATE = os.environ.get("POSTROJ_TEST_STATE", "/var/lib/postroj-test")
"""Images are pulled once into this directory and shared by all tests and runs."""

POSTROJ = os.path.join(os.path.dirname(sys.executable), "postroj")

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all,+dac_read_search"]
NOBODY += ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"]
"""In front of a command: makes nobody of root, with the capability to read: Python may lie where only root can look."""

SIMULATED = "POSTROJ_TEST_HOST" in os.environ
"""Whether this host is made by hosts.py; then its kernel may be that of others on which tests run at the same time."""

Run = Callable[..., "subprocess.CompletedProcess[str]"]
