"""The rules of a package's life, each with the policy that it comes from: docs/lifecycle.md has them all."""

from collections.abc import Mapping
from typing import NamedTuple

from postroj.harness.job import Job
from postroj.probe import Finding, Outcome


class Rule(NamedTuple):
    """What a package has to keep to."""

    what: str
    source: str
    """Where that is written."""


_DEBIAN = "Debian policy"
_FEDORA = "Fedora packaging guidelines"

RULES: Mapping[str, Rule] = {
    "stops-service": Rule(
        "A service that runs before an upgrade, or before the package is installed again, runs after it.",
        f"{_DEBIAN} 9.3.3; {_FEDORA}, Scriptlets: Systemd (%systemd_postun_with_restart)",
    ),
    "starts-service": Rule(
        "A service that is stopped and disabled, or masked, is so after an upgrade.",
        f"{_DEBIAN} 9.3.3.1 and deb-systemd-invoke(1p); systemd.preset(5)",
    ),
    "enables-service": Rule(
        "A service that the administrator has disabled or masked is not enabled by an upgrade.",
        f"{_DEBIAN} 9.3.3.1 and deb-systemd-helper(1p); systemd.preset(5)",
    ),
    "disables-service": Rule(
        "A service that is enabled before an upgrade is enabled after it.",
        f"{_DEBIAN} 9.3.3.1 and deb-systemd-helper(1p); {_FEDORA}, Scriptlets: Systemd (%systemd_preun, $1)",
    ),
    "deletes-data": Rule(
        "What a service has stored is there after an upgrade, and on Debian until the package is purged.",
        f"{_DEBIAN} 6.5 and 6.8 (upgrade, remove and purge call a postrm); {_FEDORA}, Scriptlets: Syntax ($1)",
    ),
    "changes-conffile": Rule(
        "No script and no service of a package changes a conffile of it: an upgrade would ask about it.",
        f"{_DEBIAN} 10.7.3",
    ),
    "config-overwritten": Rule(
        "A file in /etc that the administrator has changed is kept by an upgrade; the new one is put beside it.",
        f"{_DEBIAN} 10.7.3; {_FEDORA}, Configuration files (%config(noreplace)); PKGBUILD(5), backup",
    ),
    "directory-or-link": Rule(
        "A directory that the new version ships as a link is one after an upgrade, and the other way round.",
        f"{_DEBIAN} 6.6 (dpkg replaces neither) and dpkg-maintscript-helper(1), dir_to_symlink and symlink_to_dir",
    ),
    "runs-after-removal": Rule(
        "No process of a package is left after its removal, and no unit of it is active.",
        f"{_DEBIAN} 9.3.3 and 6.8; {_FEDORA}, Scriptlets: Systemd (%systemd_preun)",
    ),
    "left-after-remove": Rule(
        "After a removal nothing is left of a package but its configuration, its data, and its users.",
        f"{_DEBIAN} 6.8 and appendix G (diversions); {_FEDORA}, File and directory ownership",
    ),
    "left-after-purge": Rule(
        "After a purge nothing is left of a package but its users and groups.",
        f"{_DEBIAN} 6.8, 10.7.3, 10.8 and 10.9.1",
    ),
    "purge-needs-what-is-gone": Rule(
        "A purge does not fail because the package's users or directories have been removed before.",
        f"{_DEBIAN} 6.3 (maintainer scripts can be run again) and 9.2",
    ),
    "purge-twice": Rule(
        "A purge of what has been purged succeeds.",
        f"{_DEBIAN} 6.3",
    ),
    "downgrade": Rule(
        "The earlier version can be installed over the new one, and runs then.",
        "no policy asks for it; administrators do",
    ),
    "reload-fails": Rule(
        "A unit with an ExecReload= can be reloaded while it runs.",
        f"systemd.service(5), ExecReload=; {_DEBIAN} 9.3.2",
    ),
    "ends-when-told": Rule(
        "A service ends of the signal that its unit stops it by, and its ExecStop= and ExecStopPost= end, "
        "within TimeoutStopSec=.",
        "systemd.kill(5), KillSignal=; systemd.service(5), TimeoutStopSec=",
    ),
    "core-dump": Rule(
        "No process of a unit of the package dumps core.",
        "systemd.exec(5), Process Exit Codes",
    ),
}


def broken(job: Job, rule: str, subject: str, detail: str, evidence: str = "", hint: str = "") -> None:
    """Keep the finding that a rule is broken; --allow= makes it pass, and the report says so."""
    outcome = Outcome.FAILED
    if rule in job.request.allow:
        outcome, detail = Outcome.PASSED, f"{detail}; --allow={rule} allows it"
    told = f"rule {rule}: {RULES[rule].what} --allow={rule} lets the package break it"
    job.add(Finding(subject, outcome, detail, evidence, hint or told, rule=rule))
