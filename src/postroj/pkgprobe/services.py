"""Start the services that an installation has left stopped, as the user who installs the package would."""

from postroj.deadline import Deadline
from postroj.machine import Machine


def start_if_left_stopped(machine: Machine, name: str, *, deadline: Deadline) -> str:
    """Enable and start a unit that the installation has not tried to start; return a note on it for the report.

    Many packages start nothing by design, Fedora's by policy: that is no fault of theirs. A unit that has ended or
    failed, is masked, or was skipped by a condition is left as it is, to be judged so. Return an empty string if
    nothing was done.
    """
    with machine.watch_unit(name) as watch:
        state = watch.state()
    if state.load != "loaded" or state.active != "inactive" or state.has_job or state.was_tried:
        return ""
    disabled = state.enablement == "disabled"
    if disabled:
        machine.command(["systemctl", "enable", "--", name], deadline=deadline)
    # The check waits for it, with the time limits of a start. If it is refused, the unit stays inactive, and fails.
    machine.command(["systemctl", "start", "--no-block", "--", name], deadline=deadline)
    return f"started by postroj: the package leaves it {'disabled' if disabled else 'stopped'}"
