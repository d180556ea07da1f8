"""Match a regular expression: a program of its own, run by `patterns`, as it may take more than there is.

Its arguments are its limits, seconds of the processor and bytes of memory. It reads the pattern, which compiles, and
the text, as JSON, and prints `yes` or `no`.
"""

import json
import re
import resource
import sys


def main() -> None:
    """Read, match, print."""
    seconds, memory = map(int, sys.argv[1:])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    pattern, text = json.load(sys.stdin)
    print("yes" if re.search(pattern, text, re.MULTILINE) else "no")


if __name__ == "__main__":
    main()
