"""docs/plan.md: each key is described as the model has it, each example is right; the schema is the published one."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from msgspec.structs import fields

from postroj.cli import execute
from postroj.matrix import tasks
from postroj.plan.model import TABLES, Options, Plan, meta
from postroj.plan.schema import schema
from postroj.plan.select import parse_all

from .plans import cells, names, project

_DOCS = Path(__file__).parent.parent.parent / "docs"
_TEXT = (_DOCS / "plan.md").read_text()
_SCHEMA = _DOCS / "postroj.schema.json"
TOML = re.findall(r"^```toml\n(.*?)^```$", _TEXT, re.MULTILINE | re.DOTALL)
CONSOLE = re.findall(r"^```console\n\$ (.*?)\n(.*?)^```$", _TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    project(tmp_path)
    return tmp_path


def rows() -> list[str]:
    """Return the tables of all keys, as they have to be."""
    options = {field.encode_name: meta(field) for field in fields(Options)}
    whole = {f.encode_name: meta(f)[0] for f in fields(Plan) if f.encode_name not in {*options, *TABLES}}
    tables = [
        (name, field.encode_name, meta(field)[0])
        for name, table in TABLES.items()
        for field in fields(table)
        if field.encode_name not in options
    ]
    return [
        "\n".join(["| key | what it is |", "|---|---|", *(f"| `{key}` | {about} |" for key, about in whole.items())]),
        "\n".join(
            ["| key | option | what it is |", "|---|---|---|"]
            + [f"| `{key}` | `{option}` | {about} |" for key, (about, option) in options.items()]
        ),
        "\n".join(
            ["| table | key | what it is |", "|---|---|---|"]
            + [f"| `{table}` | `{key}` | {about} |" for table, key, about in tables]
        ),
    ]


@pytest.mark.parametrize("number", range(3))
def test_each_key_is_described_as_the_model_has_it(number: int) -> None:
    assert f"{rows()[number]}\n" in _TEXT


@pytest.mark.parametrize("text", TOML)
def test_each_example_is_right(text: str) -> None:
    plan = cells(text)
    assert tasks.make(plan.all, plan)
    jsonschema.Draft202012Validator(json.loads(_SCHEMA.read_text())).validate(tomllib.loads(text))


@pytest.mark.parametrize(("command", "told"), CONSOLE)
def test_what_is_shown_is_what_is_printed(command: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    cells(TOML[0])
    assert execute(command.split()[1:]) == 0
    assert capsys.readouterr().out == told


def test_there_are_examples() -> None:
    assert len(TOML) == 5 and len(CONSOLE) == 2
    assert names(cells(TOML[2])) == ["debian-trixie:tool:big", "debian-trixie:tool:small"]
    plan = cells(TOML[3])
    (cell,) = plan.select(["debian-13:tool"])
    assert plan.options(cell)["allow"].value == ("config-overwritten", "left-after-purge")


@pytest.mark.parametrize("text", re.findall("`'?([a-z0-9*-]+:[a-z*]+)'?`", _TEXT))
def test_selectors_are_right(text: str) -> None:
    assert parse_all(text)


# the schema


def test_the_published_schema_is_that_of_the_model() -> None:
    assert _SCHEMA.read_text() == schema(), "python -m postroj.plan.schema > docs/postroj.schema.json"


def test_the_schema_is_for_editors() -> None:
    made = json.loads(schema())
    jsonschema.Draft202012Validator.check_schema(made)
    assert "anyOf" not in schema()
    for name, table in made["$defs"].items():
        for key, about in table["properties"].items():
            assert about.get("description"), f"{name}.{key}"


RIGHT = [
    {"packages": ["a"], "timeout": 3, "stay-active": 0, "start": "never"},
    {"override": [{"select": "a:b", "units": ["x"]}, {"select": ["a", "b"], "inherit": ["units"]}]},
    {"check": ["tcp localhost:80", {"http": "http://x", "status": 200, "verify": False}]},
    {"check": [{"http": "http://x", "header": {"matches": ["a", "b"], "not": "c"}}]},
    {"variant": {"a": {"memory": "1G"}}, "package": [{"files": ["x"], "check": [{"unit": "x"}]}]},
]
WRONG: list[dict[str, Any]] = [
    {"timeot": 3},
    {"timeout": "3"},
    {"timeout": 0},
    {"start": "maybe"},
    {"units": "x"},
    {"override": [{"units": ["x"]}]},
    {"override": [{"select": 3}]},
    {"package": [{"files": []}]},
    {"allow-failure": [{"select": "x", "reason": ""}]},
    {"check": [{"htp": "x"}]},
    {"check": [{"http": "x", "body": {"like": "y"}}]},
    {"check": [3]},
    {"variant": {"a:b": {}}},
]


@pytest.mark.parametrize("plan", RIGHT, ids=str)
def test_right_plans_are_valid(plan: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(json.loads(schema())).validate(plan)


@pytest.mark.parametrize("plan", WRONG, ids=str)
def test_wrong_plans_are_not(plan: dict[str, Any]) -> None:
    assert not jsonschema.Draft202012Validator(json.loads(schema())).is_valid(plan)
