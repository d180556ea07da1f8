"""Windows Installer: the command lines of msiexec, and what its exit codes mean.

Sources: "Command-Line Options" and "MsiExec.exe and InstMsi.exe Error Messages" (Microsoft Learn). msiexec has windows,
so that cmd.exe need not wait for it: what is returned here are scripts of PowerShell that do.
"""

from collections.abc import Mapping
from typing import NamedTuple

from postroj.family.windows import quoting

PROGRAM = "msiexec.exe"
_QUIET = ("/qn", "/norestart")

DONE, REBOOT, PACKAGE, MACHINE = "done", "reboot", "package", "machine"
"""What an exit code means: it is done, and after a reboot; or the package is to blame, or the machine."""


class Exit(NamedTuple):
    """What an exit code of an installer says."""

    status: int
    name: str
    """As winerror.h has it; empty for one that is not known."""
    told: str
    means: str
    """DONE, REBOOT, PACKAGE or MACHINE."""

    def __str__(self) -> str:
        return f"{self.told} ({self.status}{', ' if self.name else ''}{self.name})"

    @property
    def is_success(self) -> bool:
        """Return whether what was asked for is done."""
        return self.means in (DONE, REBOOT)


_EXITS = {
    one.status: one
    for one in (
        Exit(0, "ERROR_SUCCESS", "it is done", DONE),
        Exit(13, "ERROR_INVALID_DATA", "the data is invalid", PACKAGE),
        Exit(87, "ERROR_INVALID_PARAMETER", "a parameter is invalid", PACKAGE),
        Exit(112, "ERROR_DISK_FULL", "the disk of the machine is full", MACHINE),
        Exit(1601, "ERROR_INSTALL_SERVICE_FAILURE", "the service of Windows Installer cannot be reached", MACHINE),
        Exit(1602, "ERROR_INSTALL_USEREXIT", "the installer cancelled the installation", PACKAGE),
        Exit(1603, "ERROR_INSTALL_FAILURE", "a fatal error during the installation", PACKAGE),
        Exit(1604, "ERROR_INSTALL_SUSPEND", "the installation was suspended and is not complete", PACKAGE),
        Exit(1605, "ERROR_UNKNOWN_PRODUCT", "the product is not installed", PACKAGE),
        Exit(1612, "ERROR_INSTALL_SOURCE_ABSENT", "the file that the product was installed from is gone", PACKAGE),
        Exit(1613, "ERROR_INSTALL_PACKAGE_VERSION", "the package needs a newer Windows Installer", PACKAGE),
        Exit(1614, "ERROR_PRODUCT_UNINSTALLED", "the product is removed", PACKAGE),
        Exit(1618, "ERROR_INSTALL_ALREADY_RUNNING", "another installation is in progress", MACHINE),
        Exit(1619, "ERROR_INSTALL_PACKAGE_OPEN_FAILED", "the package cannot be opened", PACKAGE),
        Exit(1620, "ERROR_INSTALL_PACKAGE_INVALID", "the file is not a package of Windows Installer", PACKAGE),
        Exit(1622, "ERROR_INSTALL_LOG_FAILURE", "the log cannot be written", MACHINE),
        Exit(1623, "ERROR_INSTALL_LANGUAGE_UNSUPPORTED", "Windows has not the language of the package", PACKAGE),
        Exit(1624, "ERROR_INSTALL_TRANSFORM_FAILURE", "a transform cannot be applied", PACKAGE),
        Exit(1625, "ERROR_INSTALL_PACKAGE_REJECTED", "a policy of the machine forbids the installation", MACHINE),
        Exit(1631, "ERROR_CREATE_FAILED", "the service of Windows Installer did not start", MACHINE),
        Exit(1632, "ERROR_INSTALL_TEMP_UNWRITABLE", "the directory TEMP of the machine cannot be written to", MACHINE),
        Exit(1633, "ERROR_INSTALL_PLATFORM_UNSUPPORTED", "the package is for another architecture", PACKAGE),
        Exit(1638, "ERROR_PRODUCT_VERSION", "another version of the product is installed", PACKAGE),
        Exit(1639, "ERROR_INVALID_COMMAND_LINE", "the command line is invalid", PACKAGE),
        Exit(1641, "ERROR_SUCCESS_REBOOT_INITIATED", "it is done, and the machine reboots", REBOOT),
        Exit(1642, "ERROR_PATCH_TARGET_NOT_FOUND", "there is nothing installed that the patch is for", PACKAGE),
        Exit(1643, "ERROR_PATCH_PACKAGE_REJECTED", "a policy of the machine forbids the patch", MACHINE),
        Exit(1644, "ERROR_INSTALL_TRANSFORM_REJECTED", "a policy of the machine forbids a transform", MACHINE),
        Exit(1645, "ERROR_INSTALL_REMOTE_DISALLOWED", "it cannot be installed by a remote session", MACHINE),
        Exit(1654, "ERROR_INSTALL_REJECTED", "the package does not support this Windows", PACKAGE),
        Exit(3010, "ERROR_SUCCESS_REBOOT_REQUIRED", "it is done after a reboot", REBOOT),
    )
}
VERSION_IS_THERE = 1638
"""The exit code of a minor upgrade that was called as an installation: see `upgrade_in_place`."""


def exit_of(status: int) -> Exit:
    """Return what an exit code says. It is a number of 32 bits, which some clients print with a sign."""
    status &= 0xFFFFFFFF
    return _EXITS.get(status) or Exit(status, "", f"it failed with 0x{status:08x}", PACKAGE)


def install(package: str, log: str, properties: Mapping[str, str] | None = None) -> str:
    """Return the script that installs a package; a major upgrade as well, which removes the version before.

    `package` and `log` are paths in the guest. Raises UsageError for what msiexec could not read.
    """
    return _script("/i", package, log, properties)


def upgrade_in_place(package: str, log: str, properties: Mapping[str, str] | None = None) -> str:
    """Return the script of a minor upgrade, whose package has the product code of the installed one."""
    return _script("/i", package, log, {"REINSTALL": "ALL", "REINSTALLMODE": "vomus", **(properties or {})})


def repair(package: str, log: str) -> str:
    """Return the script that installs a package again: all its files, registry keys and shortcuts."""
    return _script("/famus", package, log)


def remove(package: str, log: str) -> str:
    """Return the script that removes a product, by its package or product code."""
    return _script("/x", package, log)


def _script(action: str, package: str, log: str, properties: Mapping[str, str] | None = None) -> str:
    values = [quoting.msiexec_property(name, value) for name, value in (properties or {}).items()]
    path, log = quoting.msiexec_path(package), quoting.msiexec_path(log)
    return quoting.start(PROGRAM, " ".join([action, path, *_QUIET, "/L*V", log, *values]))
