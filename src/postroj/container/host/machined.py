"""A machine as the host's systemd knows it: a scope of its own, registered with machined, on hosts that have them.

It is started in its scope (`scope`); org.freedesktop.machine1(5) is told of it once its first process is there.
"""

import os
import re
from contextlib import suppress

from postroj import process
from postroj.container.host import cgroup
from postroj.container.host.scope import BUS, SLICE
from postroj.errors import HostError, ToolError

_ACTIVATION = "/usr/share/dbus-1/system-services/org.freedesktop.machine1.service"
_SECONDS = 10.0
_SCOPE = re.compile(r"machine-(.+)-[0-9a-f]{6}\.scope")


def is_there() -> bool:
    """Whether this host runs systemd (sd_booted(3)), and has machined."""
    return (
        os.path.isdir("/run/systemd/system")
        and os.path.exists(BUS)
        and os.path.exists(_ACTIVATION)
        and bool(cgroup.mount_point())
    )


def deserted() -> list[tuple[str, str]]:
    """The machines, and their units, that no process is in: systemd forgets them by itself, but for rare ones."""
    try:
        units = os.listdir(os.path.join(cgroup.mount_point() or "", SLICE))
    except FileNotFoundError:
        return []
    found = [(match[1], unit) for unit in units if (match := _SCOPE.fullmatch(unit))]
    return [(name, unit) for name, unit in found if cgroup.is_empty(f"{SLICE}/{unit}")]


def stop(unit: str) -> None:
    """Have systemd forget a scope."""
    with suppress(ToolError):  # it has meanwhile
        process.run(["systemctl", "stop", unit])


class Registration:
    """A machine's entry with machined, until `close`; machined itself drops it when the machine's unit is gone."""

    def __init__(self, name: str, unit: str, leader: int, interface: str) -> None:
        """Register it. Raises HostError."""
        from jeepney import DBusAddress, DBusErrorResponse, MatchRule, new_method_call
        from jeepney.bus_messages import message_bus
        from jeepney.io.blocking import open_dbus_connection
        from jeepney.wrappers import unwrap_msg

        systemd = DBusAddress(
            "/org/freedesktop/systemd1", "org.freedesktop.systemd1", "org.freedesktop.systemd1.Manager"
        )
        self._machined = DBusAddress(
            "/org/freedesktop/machine1", "org.freedesktop.machine1", "org.freedesktop.machine1.Manager"
        )
        self._name = name
        self._stopped = False
        try:
            self._connection = open_dbus_connection(f"unix:path={BUS}", auth_timeout=_SECONDS)
        except (OSError, ValueError) as error:
            raise HostError(f"{name} cannot be registered with machined", why=str(error)) from error
        try:
            indices = [int(_read(f"/sys/class/net/{interface}/ifindex"))] if interface else []
            # Whoever stops the unit is seen by the job that is made for it.
            stops = MatchRule(type="signal", interface="org.freedesktop.systemd1.Manager", member="JobNew")
            stops.add_arg_condition(2, unit)
            self._stops = self._connection.filter(stops)
            self._queue = self._stops.queue
            for message in (
                message_bus.AddMatch(stops),
                new_method_call(systemd, "Subscribe"),
                new_method_call(
                    self._machined,
                    "RegisterMachineWithNetwork",
                    "sayssusai",
                    (name, b"", "postroj", "container", leader, "", indices),
                ),
            ):
                unwrap_msg(self._connection.send_and_get_reply(message, timeout=_SECONDS))
        except (OSError, DBusErrorResponse, ValueError) as error:
            self._connection.close()
            from postroj.systemd.bus import said

            why = said(error) if isinstance(error, DBusErrorResponse) else str(error)
            raise HostError(f"{name} cannot be registered with machined", why=why) from error

    def was_stopped(self, seconds: float) -> bool:
        """Whether somebody has stopped the machine's unit; systemd may tell of it within this time only."""
        with suppress(OSError, ValueError):
            self._connection.recv_until_filtered(self._queue, timeout=seconds)
            self._stopped = True
        return self._stopped

    def close(self) -> None:
        """Have machined forget it, which otherwise happens a moment later."""
        from jeepney import DBusErrorResponse, new_method_call
        from jeepney.wrappers import unwrap_msg

        with suppress(OSError, DBusErrorResponse, ValueError):
            forget = new_method_call(self._machined, "UnregisterMachine", "s", (self._name,))
            unwrap_msg(self._connection.send_and_get_reply(forget, timeout=_SECONDS))
        self._connection.close()


def _read(path: str) -> str:
    with open(path) as file:
        return file.read()
