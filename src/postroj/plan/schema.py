"""The JSON Schema of a plan, for editors: what the model says, and the settings of checks.

The published one is made of this: `python -m postroj.plan.schema > docs/postroj.schema.json`.
"""

import json
from typing import Any, get_args

import msgspec

from postroj.plan.model import Operator, Plan
from postroj.probe.check import keys, model_of
from postroj.probe.kinds import KINDS

_TYPES = ["string", "integer", "number", "boolean", "array", "object"]


def schema() -> str:
    """Return the schema."""
    about = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "postroj.toml"}
    made: dict[str, Any] = _flat(msgspec.json.schema(Plan))
    for table in made["$defs"].values():
        if check := table["properties"].get("check"):
            check["items"] = {"$ref": "#/$defs/Check"}
    made["$defs"]["Check"] = _check()
    return json.dumps({**about, **made}, indent=2) + "\n"


def _flat(node: Any) -> Any:
    """Return a schema in which a choice of types is a list of types, which editors understand better than `anyOf`."""
    if isinstance(node, list):
        return [_flat(one) for one in node]
    if not isinstance(node, dict):
        return node
    node = {key: _flat(value) for key, value in node.items()}
    if choice := node.get("anyOf"):
        types = [one.get("type") for one in choice]
        if len({str(one) for one in types}) == len(types) and None not in types:
            del node["anyOf"]
            merged = {key: value for one in choice for key, value in one.items()}
            return {**node, **merged, "type": types}
    return node


def _check() -> dict[str, Any]:
    told: dict[str, list[str]] = {}
    for kind in KINDS:
        (_, subject), *settings = keys(model_of(kind)).items()
        about = " ".join((model_of(kind).__doc__ or "").split())
        told.setdefault(kind, []).append(f"{about} {subject.means}, such as {subject.example}.")
        for name, key in settings:
            told.setdefault(name, []).append(f"Of {kind}: {key.means}, such as {key.example}.")
    words = {"type": ["string", "array"], "items": {"type": "string"}}
    value = {
        "type": _TYPES,
        "items": {"type": "string"},
        "properties": dict.fromkeys(get_args(Operator), words),
        "additionalProperties": False,
    }
    return {
        "description": "A check: a table that begins with its kind, or a text as `pkgprobe --check` takes it.",
        "type": ["string", "object"],
        "minProperties": 1,
        "properties": {name: {"description": "\n".join(lines), **value} for name, lines in sorted(told.items())},
        "additionalProperties": False,
    }


if __name__ == "__main__":
    print(schema(), end="")
