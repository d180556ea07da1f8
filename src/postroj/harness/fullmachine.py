"""The command that asks a full machine, if a container cannot tell."""

import shlex

from postroj.harness.request import Request
from postroj.limits import FULL_MACHINE


def told(hint: str, request: Request, image: str) -> str:
    """Return a hint, with the command if it says that a full machine can tell, and one of the image is possible.

    A hint that has it already is returned as it is.
    """
    if FULL_MACHINE not in hint or f"{FULL_MACHINE}: " in hint or request.vm:
        return hint
    from postroj.image import box, boxes

    if not (box.is_possible(image) or boxes.find(image)):
        return hint
    return hint.replace(FULL_MACHINE, f"{FULL_MACHINE}: {command(request, image)}")


def command(request: Request, image: str) -> str:
    """Return the command line that probes the same in a VM; a container's isolation and limits are none of a VM's.

    Nor is it told where the reports and the artifacts are to go: they would take the place of those of the container.
    """
    from postroj.harness.life import LIFE

    plain = Request()
    is_life = tuple(request.phases) == LIFE
    lists = {
        "package": request.packages,
        "with": request.needed,
        "repo": request.repositories,
        "repo-key": request.repository_keys,
        "repo-unsigned": request.unsigned_repositories,
        "phase": () if is_life else request.phases,
        "upgrade-from": request.earlier,
        "baseline": request.baseline,
        "allow": request.allow,
        "check-unit": request.units,
        "allow-failed": request.allow_failed,
        "check-network": request.networks,
        "check": request.checks,
    }
    words = ["postroj", "pkgprobe", "--vm", f"--image={image}"]
    words += ["--lifecycle"] if is_life else []
    words += [f"--{option}={value}" for option, values in lists.items() for value in values]
    words += [] if request.start else ["--start=never"]
    words += ["--expect-enabled"] if request.expect_enabled else []
    words += ["--offline"] if request.offline else []
    if request.stay is not None:
        words.append(f"--stay-active={request.stay:g}")
    if request.network_timeout != plain.network_timeout:
        words.append(f"--network-timeout={request.network_timeout:g}")
    if request.timeout != plain.timeout:
        words.append(f"--timeout={request.timeout:g}")
    return shlex.join(words)
