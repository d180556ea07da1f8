"""What systemctl prints of links, in the words of each systemd."""

import pytest

from postroj.harness.services import LINKED

LINK = "/etc/systemd/system/multi-user.target.wants/x.service"


@pytest.mark.parametrize(
    "line",
    [
        f"Created symlink from {LINK} to /usr/lib/systemd/system/x.service.",
        f"Created symlink {LINK} → /lib/systemd/system/x.service.",
        f"Created symlink '{LINK}' → '/usr/lib/systemd/system/x.service'.",
    ],
)
def test_links_are_found(line: str) -> None:
    assert LINKED.findall(f"Synchronizing state\n{line}\n") == [LINK]
