"""The image for packages if the user names none: the newest supported one of the catalogue that installs them."""

import datetime
from collections.abc import Sequence

from postroj import family
from postroj.errors import UsageError
from postroj.events import Step, emit
from postroj.image.catalogue import Entry
from postroj.image.source import host_architecture
from postroj.package.formats import FORMATS
from postroj.package.reference import Package, fitting, supported

_GIVE = "give --image, such as --image=debian-bookworm"


def choose(packages: Sequence[Package]) -> Entry:
    """Return the image for packages that are files of one format.

    Of the distributions that install the format, the first of the catalogue is taken, and of that the release that is
    supported longest, which is its newest; a distribution without releases only if there is no other. Whether an image
    is downloaded does not matter: the choice depends on packages, catalogue and date alone. Raises UsageError if
    nothing can be chosen, or a package is for another architecture than this host's.
    """
    formats = list(dict.fromkeys(package.format for package in packages if package.file))
    if not formats:
        what = "a package's name does not tell which image to use" if packages else "there is no image to use"
        raise UsageError(what, hint=_GIVE)
    if len(formats) > 1:
        suffixes = ", ".join(FORMATS[name].suffixes[0] for name in formats)
        raise UsageError(
            f"no image installs packages of several formats: {suffixes}", hint="probe each format by itself"
        )
    (name,) = formats
    architecture = host_architecture()
    suffix = FORMATS[name].suffixes[0]
    if not supported(name) and (of_vms := fitting(name)):
        raise UsageError(
            f"{suffix} packages are installed in virtual machines only, of which none is taken by default",
            hint=f"give one of these by --image: {', '.join(of_vms)}",
        )
    chosen = _newest(supported(name), architecture)
    if not chosen:
        raise UsageError(f"the catalogue has no supported image for {suffix} packages on {architecture}", hint=_GIVE)
    word = FORMATS[name].architecture_word(architecture)
    for package in packages:
        if not package.fault:
            package.check_fits(chosen.name, family.load(chosen.family), word)
    emit(Step("image", f"taking {chosen.name}, the newest supported image for {suffix} packages"))
    return chosen


def _newest(entries: Sequence[Entry], architecture: str) -> Entry | None:
    plain = architecture.partition("/")[0]
    fitting = [one for one in entries if not one.architectures or plain in one.architectures]
    releases = [one for one in fitting if one.eol] or fitting
    of_first = [one for one in releases if _distribution(one) == _distribution(releases[0])]
    return max(of_first, key=lambda one: one.eol or datetime.date.min, default=None)


def _distribution(entry: Entry) -> str:
    return entry.name.partition("-")[0]
