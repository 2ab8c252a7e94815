"""A JSON schema that a stranger wrote, made harmless: bounded, without references or patterns.

What it does not cover: keywords outside the list below are dropped, so a call may pass here and
still be refused by the tool itself. `pattern` is one of them: a regular expression from outside
can run for ever, and Python's holds the whole process while it does.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import jsonschema
import jsonschema.exceptions
import referencing

MAX_CHARACTERS = 16_000
MAX_NODES = 1_000
MAX_DEPTH = 16

# Loose on purpose: a keyword that is dropped makes a schema wider, never wrong.
_PLAIN = frozenset(
    (
        *("type", "required", "enum", "const", "description", "title", "default", "examples"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "format"),
        *("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
        "uniqueItems",
    )
)
_ONE = frozenset(("items", "additionalProperties"))
_LIST = frozenset(("anyOf", "oneOf", "allOf", "prefixItems"))
_OBJECTS_OF = "properties"

Where = tuple[str | int, ...]


class BadSchema(ValueError):
    """`where` is the way to the part that is wrong."""

    def __init__(self, message: str, where: Where = ()) -> None:
        super().__init__(message)
        self.where = where


def harmless(schema: object) -> dict[str, object]:
    """The schema of an object, with its references put in their places."""
    if not isinstance(schema, dict) or schema.get("type", "object") != "object":
        raise BadSchema('the schema of the arguments must be one of {"type": "object"}')
    kept = _Inliner(schema).copy(schema, (), ())
    kept.setdefault("type", "object")
    kept.setdefault("properties", {})
    n_characters = len(json.dumps(kept, ensure_ascii=False))
    if n_characters > MAX_CHARACTERS:
        raise BadSchema(f"the schema has {n_characters} characters; at most {MAX_CHARACTERS} fit")
    try:
        jsonschema.Draft202012Validator.check_schema(kept)
    except jsonschema.SchemaError as error:
        raise BadSchema(_short(error), tuple(error.absolute_path)) from error
    return kept


def mistake(schema: Mapping[str, object], arguments: Mapping[str, object]) -> str | None:
    """What is wrong with arguments, for the model to read; the schema is a harmless one."""
    validator = jsonschema.Draft202012Validator(dict(schema), registry=referencing.Registry())
    error = jsonschema.exceptions.best_match(validator.iter_errors(dict(arguments)))
    if error is None:
        return None
    where = ".".join(map(str, error.absolute_path))
    return f"{where}: {_short(error)}" if where else _short(error)


def _short(error: jsonschema.ValidationError | jsonschema.SchemaError) -> str:
    return error.message if len(error.message) <= 300 else error.message[:300] + "…"


@dataclass
class _Inliner:
    """Copies a schema within limits: references to one another can make a small text huge."""

    root: dict[str, object]
    n_nodes: int = field(default=0, init=False)

    def copy(self, node: object, where: Where, inside: tuple[str, ...]) -> dict[str, object]:
        """`inside` names the references that are being followed: one within itself is cut."""
        self.n_nodes += 1
        if self.n_nodes > MAX_NODES or len(where) > 2 * MAX_DEPTH:
            raise BadSchema(f"the schema has more than {MAX_NODES} parts, or is too deep", where)
        if isinstance(node, bool):
            return {} if node else {"enum": []}
        if not isinstance(node, dict):
            raise BadSchema(f"a schema must be an object, not {type(node).__name__}", where)
        kept: dict[str, object] = {}
        reference = node.get("$ref")
        if isinstance(reference, str) and reference not in inside:
            kept |= self.copy(self._target(reference, where), where, (*inside, reference))
        for key, value in node.items():
            kept |= self._keyword(key, value, (*where, key), inside)
        return kept

    def _keyword(
        self, key: str, value: object, where: Where, inside: tuple[str, ...]
    ) -> dict[str, object]:
        if key in _PLAIN:
            return {key: value}
        if key == "additionalProperties" and isinstance(value, bool):
            return {key: value}
        if key in _ONE:
            return {key: self.copy(value, where, inside)}
        if key in _LIST and isinstance(value, list):
            return {key: [self.copy(v, (*where, i), inside) for i, v in enumerate(value)]}
        if key == _OBJECTS_OF and isinstance(value, dict):
            return {key: {k: self.copy(v, (*where, k), inside) for k, v in value.items()}}
        if key in _LIST or key == _OBJECTS_OF:
            raise BadSchema(f'"{key}" is {type(value).__name__}', where)
        return {}

    def _target(self, reference: str, where: Where) -> object:
        if not reference.startswith("#"):
            raise BadSchema(f"a reference out of the schema, {reference[:80]!r}", where)
        node: object = self.root
        for step in filter(None, reference[1:].split("/")):
            if not isinstance(node, dict) or step not in node:
                raise BadSchema(f"the reference {reference[:80]!r} leads nowhere", where)
            node = node[step]
        return node
