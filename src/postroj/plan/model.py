"""A plan as it is written, and what each of its keys is: the file, POSTROJ_… variables and the command line follow.

The published schema is made of this: `python -m postroj.plan.schema > docs/postroj.schema.json`.
"""

from functools import cache
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import UNSET, Meta, UnsetType

Words = tuple[str, ...]
Operator = Literal["not", "matches", "not-matches"]
Start = Literal["auto", "never"]
Provider = Literal["libvirt", "virtualbox", "vmware_desktop", "hyperv", "parallels", "qemu"]
Comparison = dict[Operator, str | Words]
CheckTable = dict[str, str | int | float | bool | Words | Comparison]
Check = str | CheckTable
CHOICES = {"start": get_args(Start), "provider": get_args(Provider), "check": get_args(Operator)}
"""The words that there are for a key, or in its tables."""
_Seconds = Annotated[float, Meta(ge=0.001, le=1_000_000)]
NAME = "^[A-Za-z0-9_][A-Za-z0-9_.+@~-]{0,99}$"
"""What packages and variants are called in cells: it is a part of selectors, and a directory of `artifacts`."""
NOT_BLANK = r"\S"


def _kebab(name: str) -> str:
    return name.strip("_").replace("_", "-")


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename=_kebab, omit_defaults=True):
    """A table of a plan."""


def _key(option: str, description: str, **more: Any) -> Meta:
    """Return what is to be known of a key: the option of `pkgprobe` that it becomes, and what it means."""
    return Meta(description=description, extra={"option": option}, **more)


class Options(_Table, frozen=True, kw_only=True):
    """How a cell is probed. What is not set here is as `postroj pkgprobe` has it, but for the phases."""

    phases: Annotated[
        Words | UnsetType,
        _key("--phase", "The phases of the package's life, as docs/lifecycle.md names them; `lifecycle` (the default) "
             "for all of them."),
    ] = UNSET  # fmt: skip
    upgrade_from: Annotated[
        Words | UnsetType,
        _key("--upgrade-from", "Earlier releases: files, globs, directories, URLs, or names with a version. Each is "
             "used for the package of its name and format."),
    ] = UNSET  # fmt: skip
    baseline: Annotated[
        Words | UnsetType,
        _key("--baseline", "Earlier releases that are probed as well: what fails with them too is no failure. Named "
             "as for upgrade-from."),
    ] = UNSET  # fmt: skip
    with_: Annotated[
        Words | UnsetType, _key("--with", "Packages that are installed first and are not under test, of any format.")
    ] = UNSET
    units: Annotated[
        Words | UnsetType, _key("--check-unit", "Units that must be active; by default those that the packages ship.")
    ] = UNSET
    check: Annotated[
        tuple[Check, ...] | UnsetType,
        _key("--check", "Checks: tables such as `http = \"http://localhost:3000\"` with `status = 200`, or texts as "
             "`pkgprobe --check` takes them; see docs/checks.md."),
    ] = UNSET  # fmt: skip
    start: Annotated[
        Start | UnsetType,
        _key("--start", "auto: a unit that the installation leaves stopped is started; never: it is judged as it is."),
    ] = UNSET
    expect_enabled: Annotated[bool | UnsetType, _key("--expect-enabled", "Fail if a boot would not start a unit.")] = (
        UNSET
    )
    allow: Annotated[Words | UnsetType, _key("--allow", "Rules of docs/lifecycle.md that the package may break.")] = (
        UNSET
    )
    allow_failed: Annotated[Words | UnsetType, _key("--allow-failed", "Globs of units that may fail.")] = UNSET
    stay_active: Annotated[
        Annotated[float, Meta(ge=0, le=1_000_000)] | UnsetType,
        _key("--stay-active", "Seconds that a unit must stay active."),
    ] = UNSET
    network_timeout: Annotated[
        _Seconds | UnsetType, _key("--network-timeout", "Seconds until an address must answer.")
    ] = UNSET
    timeout: Annotated[_Seconds | UnsetType, _key("--timeout", "Seconds for all of a cell.")] = UNSET
    vm: Annotated[
        bool | UnsetType, _key("--vm", "Use a virtual machine, with a kernel of its own; see docs/vm.md.")
    ] = UNSET
    provider: Annotated[
        Provider | UnsetType,
        _key("--provider", "What runs the virtual machine; cells that name it have one, also with `vm = false`."),
    ] = UNSET
    offline: Annotated[bool | UnsetType, _key("--offline", "Download nothing.")] = UNSET
    no_cache: Annotated[bool | UnsetType, _key("--no-cache", "Do not use the package cache.")] = UNSET
    cache_size: Annotated[
        str | UnsetType, _key("--cache-size", "What the package cache may take on disk, for all images together.")
    ] = UNSET
    repo: Annotated[Words | UnsetType, _key("--repo", "Package repositories to add, as for `pkgprobe --repo`.")] = UNSET
    repo_key: Annotated[Words | UnsetType, _key("--repo-key", "Files or URLs of the keys of these.")] = UNSET
    repo_unsigned: Annotated[
        Words | UnsetType, _key("--repo-unsigned", "The same as repo, but no signature is checked.")
    ] = UNSET
    network: Annotated[str | UnsetType, _key("--network", "private, host, none, or the name of a shared network.")] = (
        UNSET
    )
    privileged: Annotated[bool | UnsetType, _key("--privileged", "Disable isolation.")] = UNSET
    capability: Annotated[Words | UnsetType, _key("--capability", "Further capabilities, such as CAP_SYS_TIME.")] = (
        UNSET
    )
    memory: Annotated[str | UnsetType, _key("--memory", "The memory limit, such as 512M.")] = UNSET
    cpus: Annotated[Annotated[float, Meta(gt=0)] | UnsetType, _key("--cpus", "The limit on CPU time, in CPUs.")] = UNSET
    tasks: Annotated[Annotated[int, Meta(gt=0)] | UnsetType, _key("--tasks", "The limit on processes.")] = UNSET
    disk: Annotated[str | UnsetType, _key("--disk", "The limit on what is written to the root file system.")] = UNSET


class Package(Options, frozen=True, kw_only=True):
    """A package under test, with options of its own: [[package]]."""

    files: Annotated[
        Words, Meta(description="Its files, of several formats perhaps: paths, globs, URLs; or a name.", min_length=1)
    ]
    name: Annotated[
        str, Meta(description="What it is called in cells; by default as its first file.", pattern=NAME)
    ] = ""


class Variant(Options, frozen=True, kw_only=True):
    """Options under a name, which becomes the third part of the cells: [variant.NAME]."""


class Override(Options, frozen=True, kw_only=True):
    """Options for some cells: [[override]]."""

    select: Annotated[str | Words, Meta(description="Which cells: 'debian-11:*', or a list of such.")]
    inherit: Annotated[
        Words, Meta(description="Keys whose lists are added to those from before, instead of replacing them.")
    ] = ()


class Tolerated(_Table, frozen=True, kw_only=True):
    """Cells that may fail: [[allow-failure]]."""

    select: Annotated[str | Words, Meta(description="Which cells: 'debian-11:*', or a list of such.")]
    reason: Annotated[str, Meta(description="Why; the report repeats it.", pattern=NOT_BLANK)]


class Plan(Options, frozen=True, kw_only=True):
    """A plan: postroj.toml, or [tool.postroj] of a pyproject.toml."""

    extends: Annotated[str, Meta(description="Another plan, whose values hold where this one has none.")] = ""
    packages: Annotated[
        Words | UnsetType,
        Meta(description="What is under test: files, globs, directories, URLs, or names of the images' repositories."),
    ] = UNSET
    package: Annotated[tuple[Package, ...], Meta(description="Packages with options of their own.")] = ()
    images: Annotated[
        Words | UnsetType,
        Meta(description="Names, globs of names, families (apt, dnf …), references, or `supported` (the default)."),
    ] = UNSET
    variant: Annotated[
        dict[Annotated[str, Meta(pattern=NAME)], Variant], Meta(description="Each cell is probed once in each variant.")
    ] = {}
    override: Annotated[tuple[Override, ...], Meta(description="Options for some cells.")] = ()
    only: Annotated[Words | UnsetType, Meta(description="The cells to probe; others are left out.")] = UNSET
    exclude: Annotated[Words | UnsetType, Meta(description="Cells that are left out.")] = UNSET
    allow_failure: Annotated[tuple[Tolerated, ...], Meta(description="Cells that may fail.")] = ()
    report: Annotated[
        Words | UnsetType,
        Meta(description="Reports to write: FORMAT=FILE, of text, json, junit, tap, github and html."),
    ] = UNSET
    artifacts: Annotated[str | UnsetType, Meta(description="The directory that each cell keeps its logs in.")] = UNSET
    jobs: Annotated[Annotated[int, Meta(ge=1, le=1000)] | UnsetType, Meta(description="Cells at once.")] = UNSET
    retries: Annotated[
        Annotated[int, Meta(ge=0, le=10)] | UnsetType,
        Meta(description="How often a cell is tried again, and the pull of an image."),
    ] = UNSET
    fail_fast: Annotated[bool | UnsetType, Meta(description="End at the first cell that has failed.")] = UNSET


TABLES: dict[str, type[msgspec.Struct]] = {
    "package": Package,
    "variant": Variant,
    "override": Override,
    "allow-failure": Tolerated,
}
"""The tables of a plan that have keys of their own."""


@cache
def keys(table: type[msgspec.Struct]) -> dict[str, str]:
    """Return the keys of a table, as they are written, with the names of the fields."""
    return {field.encode_name: field.name for field in msgspec.structs.fields(table)}


def meta(field: msgspec.structs.FieldInfo) -> tuple[str, str]:
    """Return the description of a key, and the option of `pkgprobe` that it becomes; empty if it becomes none."""
    about: Meta = field.type.__metadata__[0]
    return about.description or "", (about.extra or {}).get("option", "")
