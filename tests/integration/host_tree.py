"""The root trees of simulated hosts that run systemd: made once for each Debian, and kept with the pulled images."""

import fcntl
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from host_disk import locked
from support import STATE

PYTHON = "/opt/postroj/venv/bin/python"
REPOSITORY = "/opt/postroj/repository"
LIBRARIES = "/opt/postroj/libraries"
"""Where such a host has the program, and what is bound to it: the repository, and the Python packages it needs."""

# What postroj needs (systemd-container brings machined), what its tests need, and Python for both.
_PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "systemd-container", "libpam-systemd", "util-linux", "mount", "iproute2"),
    *("nftables", "procps", "ca-certificates", "mmdebstrap", "debian-archive-keyring", "skopeo", "umoci"),
    *("dpkg", "docker-registry", "openssl", "xz-utils", "zstd", "bzip2", "python3"),
)

# Kernel settings, modules and devices are the real host's; the network is made by who starts the host.
_MASKED = (
    *("systemd-sysctl.service", "systemd-modules-load.service", "systemd-binfmt.service", "systemd-udevd.service"),
    *("systemd-networkd.service", "systemd-networkd.socket", "systemd-resolved.service", "docker-registry.service"),
    *("apt-daily.timer", "apt-daily-upgrade.timer", "proc-sys-fs-binfmt_misc.automount"),
)

# A virtual environment of the tree's own Python, which need not be of the version that runs the tests: what it needs
# of theirs is pure Python.
_FINISH = f"""
echo systemd-host >"$1/etc/hostname"
cd "$1/etc/systemd/system"
for unit in {" ".join(_MASKED)}; do ln -sf /dev/null "$unit"; done
chroot "$1" python3 -m venv --without-pip /opt/postroj/venv
cd "$1/opt/postroj"
mkdir repository libraries
printf '%s\\n' {REPOSITORY}/src {LIBRARIES} >"$(echo venv/lib/python3*/site-packages)/postroj.pth"
printf '#!%s\\nimport sys\\nfrom postroj.__main__ import main\\nsys.exit(main())\\n' {PYTHON} >venv/bin/postroj
chmod 755 venv/bin/postroj
"""


@contextmanager
def host_tree(suite: str) -> Iterator[Path]:
    """The root of a host, not to be written to; made where there is none, or one of another recipe."""
    directory = Path(STATE, "systemd-hosts", suite)
    making = directory / "making"
    os.makedirs(making, exist_ok=True)
    root, recipe = directory / "root", directory / "recipe"
    command = ["mmdebstrap", "--mode=root", "--variant=apt", f"--include={','.join(_PACKAGES)}"]
    command += [f"--customize-hook={_FINISH}", suite]

    def is_made() -> bool:
        return recipe.exists() and recipe.read_text() == shlex.join(command)

    with ExitStack() as stack:
        # Its making has a lock of its own: who waited for it would wait for all tests of who uses it already.
        with locked(making):
            if not is_made():
                with locked(directory):  # nobody uses an old one meanwhile
                    recipe.unlink(missing_ok=True)
                    with suppress(FileNotFoundError):
                        shutil.rmtree(root)
                    _make(command, root)
                    recipe.write_text(shlex.join(command))
            stack.enter_context(locked(directory, how=fcntl.LOCK_SH))
        yield root


def _make(command: list[str], root: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="making-", dir=root.parent) as directory:
        made = Path(directory, "root")
        environment = {**os.environ, "TMPDIR": directory}
        done = subprocess.run([*command, made], capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stderr
        made.rename(root)
