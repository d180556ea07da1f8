"""A unit of the host's systemd for a machine: a scope, which systemd makes around processes that are there already.

It is asked for by D-Bus, org.freedesktop.systemd1(5): systemd works while the machine's mounts are made, and no
systemd-run(1) has to be started.
"""

import os

from postroj.container.options import Options
from postroj.deadline import Deadline
from postroj.errors import HostError

BUS = "/run/dbus/system_bus_socket"
SLICE = "machine.slice"
_PATH, _NAME = "/org/freedesktop/systemd1", "org.freedesktop.systemd1"
_TASKS = 16384  # what systemd-nspawn gives its own scopes
_SIGKILL = 9
_CONNECT_SECONDS = 10.0


def unit_name(name: str) -> str:
    """A unit for a machine. systemd may still have that of the last machine of this name, for a moment."""
    return f"machine-{name}-{os.urandom(3).hex()}.scope"


class Scope:
    """A scope in the making, until `close`."""

    def __init__(self, unit: str, name: str) -> None:
        """Connect to systemd. Raises HostError."""
        from jeepney import DBusAddress, MatchRule
        from jeepney.bus_messages import message_bus
        from jeepney.io.blocking import open_dbus_connection

        self._unit = unit
        self._name = name
        self._systemd = DBusAddress(_PATH, _NAME, f"{_NAME}.Manager")
        self._serial = 0
        jobs = MatchRule(type="signal", interface=f"{_NAME}.Manager", member="JobRemoved")
        jobs.add_arg_condition(2, unit)
        try:
            self._connection = open_dbus_connection(f"unix:path={BUS}", auth_timeout=_CONNECT_SECONDS)
        except (OSError, ValueError) as error:
            raise self._failed(error) from error
        try:
            # Nobody waits for the reply: the bus keeps the order. A job's end is told to its client without Subscribe.
            self._connection.send(message_bus.AddMatch(jobs))
        except OSError as error:
            self.close()
            raise self._failed(error) from error

    def ask(self, pids: list[int], options: Options) -> None:
        """Ask for it to be made around these processes, and do not wait. Raises HostError."""
        from jeepney import new_method_call

        properties = [*_properties(self._name, options), ("PIDs", ("au", pids))]
        no_others: list[object] = []
        body = (self._unit, "fail", properties, no_others)
        self._serial = next(self._connection.outgoing_serial)
        try:
            self._connection.send(
                new_method_call(self._systemd, "StartTransientUnit", "ssa(sv)a(sa(sv))", body), serial=self._serial
            )
        except OSError as error:
            raise self._failed(error) from error

    def wait(self, deadline: Deadline) -> None:
        """Return when the processes are in it. Raises HostError, and TimeoutError."""
        from jeepney import HeaderFields, MessageType

        systemd = ""  # by the name that the bus gives to it: anybody may send a signal
        while True:
            try:
                message = self._connection.receive(timeout=deadline.remaining())
            except TimeoutError:
                raise
            except (OSError, ValueError) as error:
                raise self._failed(error) from error
            fields = message.header.fields
            sender = fields.get(HeaderFields.sender, "")
            if fields.get(HeaderFields.reply_serial) == self._serial:
                if message.header.message_type is MessageType.error:
                    raise self._failed(" ".join(map(str, message.body)))
                systemd = sender
            elif (
                sender == systemd and fields.get(HeaderFields.member) == "JobRemoved" and message.body[2] == self._unit
            ):
                if message.body[3] != "done":
                    raise self._failed(f"its job ended with the result {message.body[3]}")
                return

    def close(self) -> None:
        """Hang up; a scope that was made stays as long as there are processes in it."""
        self._connection.close()

    def _failed(self, why: object) -> HostError:
        return HostError(f"the host's systemd has made no scope for {self._name}", why=str(why))


def _properties(name: str, options: Options) -> list[tuple[str, tuple[str, object]]]:
    """systemd.scope(5), systemd.resource-control(5), systemd.kill(5)."""
    properties: list[tuple[str, tuple[str, object]]] = [
        ("Description", ("s", f"Machine {name} of postroj")),
        ("Slice", ("s", SLICE)),
        ("CollectMode", ("s", "inactive-or-failed")),
        ("Delegate", ("b", True)),
        ("MemoryAccounting", ("b", True)),
        ("TasksMax", ("t", options.tasks or _TASKS)),
        # A stop is machinectl terminate: without waiting for the guest, as machinectl(1) has it.
        ("KillSignal", ("i", _SIGKILL)),
    ]
    if options.memory:
        properties += [("MemoryMax", ("t", options.memory)), ("MemorySwapMax", ("t", 0))]
    if options.cpus:
        properties.append(("CPUQuotaPerSecUSec", ("t", round(options.cpus * 1_000_000))))
    return properties
