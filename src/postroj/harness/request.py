"""What is to be probed."""

from collections.abc import Sequence
from typing import NamedTuple

from postroj.container import Options
from postroj.probe.kinds import NETWORK_SECONDS
from postroj.settings import PACKAGE_CACHE_SIZE

STAY_SECONDS = 4.0
"""How long a unit must stay active by default, if packages were installed."""
TOTAL_SECONDS = 1800.0
"""How long all of it may take, by default."""


class Request(NamedTuple):
    """An image, packages, and what to check, as the user has written it."""

    image: str | None = None
    """None: the newest supported image that installs the packages; they are files or URLs then."""
    packages: Sequence[str] = ()
    needed: Sequence[str] = ()
    """Packages that are installed first, and are not under test."""
    repositories: Sequence[str] = ()
    """Repositories that are added to the image's own, as postroj.package.repository reads them."""
    unsigned_repositories: Sequence[str] = ()
    """The same, without signatures that could be checked."""
    repository_keys: Sequence[str] = ()
    """Files and URLs of the keys that `repositories` are signed by."""
    units: Sequence[str] = ()
    networks: Sequence[str] = ()
    checks: Sequence[str] = ()
    """Further checks: see postroj.probe.check."""
    stay: float | None = None
    """Seconds that a unit must have been active; by default STAY_SECONDS with packages, 0 without."""
    network_timeout: float = NETWORK_SECONDS
    """Seconds until an address must answer, and a check of the network must pass."""
    timeout: float = TOTAL_SECONDS
    """Seconds for all of it."""
    options: Options = Options()
    """The isolation and the limits of the machine."""
    start: bool = True
    """Start the named units that the installation of packages has left stopped, and judge them then."""
    expect_enabled: bool = False
    """Fail if a boot would not start a unit as the installation leaves it."""
    allow_failed: Sequence[str] = ()
    """Globs of units that may fail without being a finding."""
    phases: Sequence[str] = ()
    """The phases of the package's life, in order, as postroj.harness.life names them; none: it is installed and
    checked."""
    earlier: Sequence[str] = ()
    """The earlier release that it is upgraded from, and downgraded to: packages as in `packages`."""
    baseline: Sequence[str] = ()
    """An earlier release that is probed as well: then only what is worse than with it has failed."""
    allow: Sequence[str] = ()
    """Rules of a package's life that it may break, as postroj.harness.life.rules names them."""
    artifacts: str = ""
    """The directory that logs and states are kept in; empty: none are."""
    cache_size: int = PACKAGE_CACHE_SIZE
    """The bytes that the package cache may have; 0: none is used."""
    vm: bool = False
    """Use a VM of the image's distribution, with a kernel of its own, and no container."""
    provider: str = ""
    """What runs it, as Vagrant calls it; empty for the first that this host has."""
    vm_wait: bool = False
    """Wait for the VM that another run uses, in place of making a second one."""
    offline: bool = False
    """Fetch nothing over the network, neither images nor packages; the guest has a network of its own."""

    @property
    def stay_seconds(self) -> float:
        """Seconds that a unit must have been active."""
        return self.stay if self.stay is not None else STAY_SECONDS if self.packages else 0.0
