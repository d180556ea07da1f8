"""What a container cannot give a unit: nobody's fault, so there is no verdict."""

from postroj.probe import Finding, Outcome

_OF_THE_MACHINE = {
    f"Condition{kind}"
    for kind in (
        "ACPower", "CPUFeature", "CPUPressure", "CPUs", "Capability", "ControlGroupController", "Firmware",
        "IOPressure", "KernelCommandLine", "KernelModuleLoaded", "KernelVersion", "Memory", "MemoryPressure",
        "Security", "Virtualization",
    )
}  # fmt: skip
"""Conditions on the machine or its kernel: systemd.unit(5). Others are the package's own doing."""
_OF_THE_KERNEL = ("/dev/", "/proc/", "/sys/")
"""Where a path is the kernel's."""


def unmet_by_machine(subject: str, condition: str) -> Finding | None:
    """Return a finding if an unmet condition, such as `ConditionCapability=CAP_SYS_TIME`, is one of the machine."""
    kind, _, parameter = condition.partition("=")
    path = parameter.lstrip("|!")
    if kind not in _OF_THE_MACHINE and not (kind.startswith("ConditionPath") and path.startswith(_OF_THE_KERNEL)):
        return None
    hint = "only a full machine, or a real one, can tell"
    if kind == "ConditionCapability" and not path.startswith("!"):
        hint = f"the machine does not have {path}: --privileged gives it, and gives up isolation"
    return Finding(subject, Outcome.UNKNOWN, f"cannot start in this machine: {condition} is not met", hint=hint)
