"""What Windows does with services: see contract.System."""

from collections.abc import Sequence
from typing import Protocol

from postroj.contract import Completed, FileFacts
from postroj.deadline import Deadline
from postroj.errors import HostError
from postroj.family.windows import quoting
from postroj.family.windows.quoting import literal
from postroj.vm.windows import asking, services


class Asked(Protocol):
    """The machine, as far as it is asked."""

    def command(self, argv: Sequence[str], *, deadline: Deadline) -> Completed:
        """Run a command; see Machine."""
        ...

    def told(self, script: str) -> str:
        """Return what a script prints that only looks."""
        ...

    def service(self, name: str) -> services.Service | None:
        """Return a service by the name of its unit; None if there is none."""
        ...


class WindowsSystem:
    """The Service Control Manager of a machine, asked by PowerShell."""

    name = "Windows"
    family = "windows"

    def __init__(self, machine: Asked) -> None:
        self._machine = machine

    def read_again(self, *, deadline: Deadline) -> None:
        """Do nothing: it knows all services; see System."""

    def enable(self, names: Sequence[str], *, deadline: Deadline) -> Completed:
        """Have them started automatically; see System."""
        return self._each("Set-Service -Name {} -StartupType Automatic", names, deadline)

    def start(self, names: Sequence[str], *, wait: bool, deadline: Deadline) -> Completed:
        """Start them; see System. Windows waits until they have answered, for half a minute at most."""
        return self._each("Start-Service -Name {}", names, deadline)

    def restart(self, names: Sequence[str], *, deadline: Deadline) -> Completed:
        """Restart them; see System."""
        return self._each("Restart-Service -Force -Name {}", names, deadline)

    def reload(self, name: str, *, deadline: Deadline) -> Completed:
        """Do not: Windows knows nothing of the kind, and UnitFacts.can_reload says so."""
        raise HostError("a service of Windows is not reloaded")

    def bar(self, names: Sequence[str], *, masked: bool, deadline: Deadline) -> Completed:
        """Stop them, and have them started by hand only, or not at all; see System."""
        mode = "Disabled" if masked else "Manual"
        return self._each(
            f"Stop-Service -Force -Name {{0}}; Set-Service -Name {{0}} -StartupType {mode}", names, deadline
        )

    def unbar(self, names: Sequence[str], *, deadline: Deadline) -> Completed:
        """Have them started by hand again; see System."""
        return self._each("Set-Service -Name {} -StartupType Manual", names, deadline)

    def why(self, name: str) -> str:
        """Return why a service has stopped; see System."""
        service = self._machine.service(name)
        return services.why(service) if service else ""

    def shown(self, name: str) -> str:
        """Return a service, and what the Service Control Manager has logged of it; see System."""
        service = self._machine.service(name)
        if not service:
            return f"{name}: there is no such service"
        head = f"{service.name} ({service.title}): {service.state}, {service.mode}, exit code {service.code}"
        logged = services.events(self._machine.told(services.events_script(service)))
        return "\n".join([f"{head}, PID {service.pid}, {service.user}", "", *logged])

    def file(self, path: str, *, deadline: Deadline) -> FileFacts | None:
        """Return what has a path; see System."""
        return asking.read_file(self._machine.told(asking.file(path)))

    def _each(self, command: str, names: Sequence[str], deadline: Deadline) -> Completed:
        lines = [command.format(literal(services.service_name(name))) for name in names]
        script = "\n".join([asking.HEAD, *lines])
        return self._machine.command(quoting.powershell(script), deadline=deadline)
