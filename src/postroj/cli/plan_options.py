"""The options of `postroj test` that are keys of a plan: they follow from its model."""

import argparse
from typing import Any

import msgspec
from msgspec.structs import fields

from postroj.cli.common import typed
from postroj.errors import UsageError
from postroj.plan.layers import is_list
from postroj.plan.model import CHOICES, Options, Plan, meta
from postroj.plan.wording import of_text

_OTHERS = ("jobs", "retries", "fail_fast", "report", "artifacts")
"""The keys of a whole plan that are options as well."""
_CHECK = "check"
"""Which is an option of the command itself, too."""
_CALLED = {
    "upgrade_from": "PACKAGE",
    "baseline": "PACKAGE",
    "with_": "PACKAGE",
    "repo": "REPOSITORY",
    "repo_unsigned": "REPOSITORY",
    "repo_key": "KEY",
    "allow": "RULE",
    "allow_failed": "GLOB",
    "report": "FORMAT[=FILE]",
    "artifacts": "DIR",
    "network": "NETWORK",
    "memory": "SIZE",
    "disk": "SIZE",
    "cache_size": "SIZE",
    "timeout": "S",
    "network_timeout": "S",
    "stay_active": "S",
}
"""What the values of options are called, if not N or as the key."""
_NAMES = {"jobs": ("-j", "--jobs"), "report": ("--report",)}


def add(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    own = parser.add_argument_group("the whole run")
    own.add_argument(
        "--image", action="append", dest="images", metavar="IMAGE",
        help="a name, a glob of names, a family such as dnf, a reference, or `supported` (the default); repeatable",
    )  # fmt: skip
    group = parser.add_argument_group(
        "options of cells", "as of `postroj pkgprobe`; each goes before what the plan says, and can be set by POSTROJ_…"
    )
    for field in fields(Plan):
        name = field.name
        if name in _OTHERS:
            _add(own, field, *_NAMES.get(name, (f"--{field.encode_name}",)))
        elif name in Options.__struct_fields__ and name != _CHECK:
            _add(group, field, meta(field)[1])


def read(args: argparse.Namespace) -> Plan:
    """Return what was given, as a plan."""
    names = ["images", *_OTHERS, *Options.__struct_fields__]
    values: dict[str, Any] = {name: getattr(args, name) for name in names}
    values[_CHECK] = list(filter(None, args.check)) or None
    given = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items() if value is not None
    }
    return msgspec.structs.replace(Plan(), **given)


def _add(group: Any, field: msgspec.structs.FieldInfo, *names: str) -> None:
    about = meta(field)[0].replace("%", "%%")
    common: dict[str, Any] = {"default": None, "dest": field.name, "help": about[0].lower() + about[1:].rstrip(".")}
    if is_list(field.type):
        called = _CALLED.get(field.name, field.encode_name.upper().rstrip("S"))
        group.add_argument(*names, action="append", metavar=called, **common)
    elif field.encode_name in CHOICES:
        group.add_argument(*names, choices=CHOICES[field.encode_name], **common)
    elif field.type.__origin__ == bool | msgspec.UnsetType:
        group.add_argument(*names, action="store_const", const=True, **common)
    else:
        group.add_argument(
            *names, type=typed(lambda text: _read(text, field.type)), metavar=_CALLED.get(field.name, "N"), **common
        )


def _read(text: str, type: Any) -> Any:
    try:
        return msgspec.convert(text, type, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(f"'{text[:80]}' {of_text(error)}") from error
