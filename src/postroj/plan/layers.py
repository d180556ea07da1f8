"""The values of options, from all places where they can be set; each knows where it was."""

import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, get_args, get_origin

import msgspec
from msgspec import UNSET

from postroj.container.options import Options as MachineOptions
from postroj.container.options import read_capability, read_size
from postroj.errors import UsageError
from postroj.harness.life import read as read_phases
from postroj.package import repository
from postroj.plan.checks import text_of
from postroj.plan.model import CHOICES, TABLES, Options, Plan, keys
from postroj.plan.wording import of_text
from postroj.probe.unit import unit_name

LIFECYCLE = "lifecycle"
DEFAULTS = Options(phases=(LIFECYCLE,))


class Layer(NamedTuple):
    """Options that were set in one place."""

    options: Options
    where: Callable[..., str]
    """Return where a key was set, or an item of its list, if the number is given too: `postroj.toml:12`."""
    directory: str = ""
    """What relative paths in it are relative to; empty for the current directory."""
    inherit: Sequence[str] = ()
    """The keys whose lists are added to those of the layers below."""
    has_key: bool = False
    """Whether `where` names the key as well: the option, or the variable."""

    def values(self) -> Iterator[tuple[str, Any]]:
        """Yield the keys that are set in it, with their values."""
        for key, field in keys(Options).items():
            value = getattr(self.options, field)
            if value is not UNSET:
                yield key, value

    def check(self) -> None:
        """Raise UsageError, with the place, for a value that cannot be."""
        for key, value in self.values():
            for path, part in [((key, n), one) for n, one in enumerate(value)] if key == "check" else [((key,), value)]:
                try:
                    _check(key, part)
                except UsageError as error:
                    told = error.what if self.has_key else f"{key}: {error.what}"
                    raise UsageError(f"{self.where(*path)}: {told}", hint=error.hint) from error


class Value(NamedTuple):
    """What an option is."""

    value: Any
    origins: tuple[str, ...]
    """Where it was set: several, if lists were added to each other."""
    directories: tuple[str, ...] = ()
    """What relative paths in it are relative to: of each item, if it is a list; empty for the current directory."""


def resolved(layers: Sequence[Layer]) -> dict[str, Value]:
    """Return the options that are set, by their keys: what comes later in `layers` replaces what comes earlier."""
    found: dict[str, Value] = {}
    for layer in layers:
        for key, value in layer.values():
            count = len(value) if isinstance(value, tuple) else 1
            new = Value(value, (layer.where(key),), (layer.directory,) * count)
            if key in layer.inherit and (old := found.get(key)):
                new = Value(*(before + after for before, after in zip(old, new, strict=True)))
            found[key] = new
    return found


def variable(key: str) -> str:
    """Return the environment variable that sets a key: POSTROJ_STAY_ACTIVE."""
    return "POSTROJ_" + key.upper().replace("-", "_")


def from_environment(environ: Mapping[str, str] | None = None) -> Plan:
    """Return the values that POSTROJ_… variables set, for keys of a plan that are no tables. Raises UsageError.

    A list is written as a shell writes words; a truth as 1 or 0. An empty variable sets nothing.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(Plan):
        name = variable(field.encode_name)
        if not environ.get(name) or field.encode_name in (*TABLES, "extends"):
            continue
        try:
            raw = shlex.split(environ[name]) if is_list(field.type) else environ[name]
            values[field.name] = msgspec.convert(raw, field.type, strict=False)
        except ValueError as error:
            choices = CHOICES.get(field.encode_name)
            told = of_text(error) if isinstance(error, msgspec.ValidationError) else f"cannot be taken: {error}"
            what = f"must be {' or '.join(choices)}" if choices else told
            raise UsageError(f"{name}={environ[name][:80]} {what}") from error
    return Plan(**values)


def to_environment(plan: Plan) -> dict[str, str]:
    """Return the variables that set what is set in a plan, but for its tables: the inverse of from_environment."""
    variables = {}
    for field in msgspec.structs.fields(Plan):
        value = getattr(plan, field.name)
        if value is not UNSET and field.encode_name not in (*TABLES, "extends"):
            words = [str(one) for one in value] if isinstance(value, tuple) else []
            text = shlex.join(words) if is_list(field.type) else str(int(value) if isinstance(value, bool) else value)
            variables[variable(field.encode_name)] = text
    return variables


def is_list(type: Any) -> bool:
    """Return whether the values of a field of a plan are lists."""
    return any(get_origin(one) is tuple for one in get_args(type.__origin__))


def _check(key: str, value: Any) -> None:
    """Raise UsageError for a value that cannot be, as far as it can be told by itself."""
    if key == "check":
        text_of(value)
    elif key == "phases" and not value:
        raise UsageError("there are no phases in it")
    elif key == "phases" and LIFECYCLE in value and len(value) > 1:
        raise UsageError(f"{LIFECYCLE} stands for all phases, and for itself")
    elif key == "phases" and value != (LIFECYCLE,):
        read_phases(value, has_packages=True)
    elif key == "allow":
        read_phases((), has_packages=True, allow=value)
    elif key in ("repo", "repo-unsigned"):
        for one in value:
            repository.parse(one, is_signed=key == "repo")
    elif key == "units":
        for one in value:
            unit_name(one)
    elif key in ("memory", "disk", "cache-size"):
        read_size(value)
    elif key == "network":
        MachineOptions(network=value).check()
    elif key == "capability":
        MachineOptions(capabilities=tuple(map(read_capability, value))).check()
    elif key in ("cpus", "tasks"):
        MachineOptions(**{key: value}).check()
