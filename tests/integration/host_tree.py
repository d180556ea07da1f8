"""The root trees of simulated hosts that run systemd: made once for each Debian, and kept with the pulled images."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kept import kept

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

# Kernel settings, modules and devices are the real host's; the network is made by who starts the host. What begins at
# a time of its own mounts credentials for its service, and would be taken for something that a machine has left.
_MASKED = (
    *("systemd-sysctl.service", "systemd-modules-load.service", "systemd-binfmt.service", "systemd-udevd.service"),
    *("systemd-networkd.service", "systemd-networkd.socket", "systemd-resolved.service", "docker-registry.service"),
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "fstrim.timer"),
    *("systemd-tmpfiles-clean.timer", "proc-sys-fs-binfmt_misc.automount"),
)

_CONSTRAINTS = Path(__file__).parent.parent.parent / "constraints.txt"
_COMPILED = next(line for line in _CONSTRAINTS.read_text().split() if line.startswith("backports.zstd=="))

# A virtual environment of the tree's own Python, which need not be of the version that runs the tests: what it needs
# of theirs is pure Python, and what is not is fetched for it, unless its Python has it.
_FINISH = f"""
set -e
echo systemd-host >"$1/etc/hostname"
cd "$1/etc/systemd/system"
for unit in {" ".join(_MASKED)}; do ln -sf /dev/null "$unit"; done
chroot "$1" python3 -m venv --without-pip /opt/postroj/venv
cd "$1/opt/postroj"
mkdir repository libraries compiled
version=$(chroot "$1" python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
[ "${{version#3.}}" -ge 14 ] || "$POSTROJ_PYTHON" -m pip install --quiet --no-deps --only-binary=:all: \
    --python-version "$version" --target compiled {_COMPILED}
printf '%s\\n' {REPOSITORY}/src /opt/postroj/compiled {LIBRARIES} >"$(echo venv/lib/python3*/site-packages)/postroj.pth"
printf '#!%s\\nimport sys\\nfrom postroj.__main__ import main\\nsys.exit(main())\\n' {PYTHON} >venv/bin/postroj
chmod 755 venv/bin/postroj
"""


@contextmanager
def host_tree(suite: str) -> Iterator[Path]:
    """Yield the root directory of a host, not to be written to; it is made if there is none by this recipe."""
    command = ["mmdebstrap", "--mode=root", "--variant=apt", f"--include={','.join(_PACKAGES)}"]
    command += [f"--customize-hook={_FINISH}", suite]

    def make(path: Path) -> None:
        environment = {**os.environ, "TMPDIR": str(path.parent), "POSTROJ_PYTHON": sys.executable}
        done = subprocess.run([*command, path], capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stderr

    with kept(f"host-trees/{suite}", shlex.join(command), make) as root:
        yield root
