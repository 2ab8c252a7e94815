"""A tool's JSON schema as rules of a grammar: what matches them is valid, and can be parsed.

What it does not cover is listed in `grammar_reading`; there a parameter's value is any that can
be parsed. Left to the tool's own check: `uniqueItems`, and formats unknown to us. Properties
that the schema does not name are not written, and those that it names come in its order.
"""

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from assistant.callform import Spelling
from assistant.grammar_numbers import number
from assistant.grammar_reading import (
    Schema,
    TooDeep,
    Unsupported,
    at_least,
    at_most,
    checked,
    follow,
    listed,
    mapping,
    merged,
    type_of,
)
from assistant.grammar_values import FORMATS, literal, literals, matching, quoted, regex, strings

log = logging.getLogger(__name__)

MAX_ITEMS = 64  # of a list or map whose schema says no less
ANY_DEPTH = 3  # brackets within brackets where the schema says nothing
REF_DEPTH = 6  # definitions within definitions
MAX_DEPTH = 24  # schemas within schemas

_SCALARS = ("string", "integer", "number", "boolean", "null")


@dataclass(frozen=True)
class Rules:
    """`text` defines `start`. `weight` is about how many characters names alone may take."""

    text: str
    start: str
    weight: int


def arguments_rules(schema_json: str, spelling: Spelling, prefix: str) -> Rules:
    """The rules of a tool's arguments; their names begin with `prefix`."""
    writer = _Writer(checked(json.loads(schema_json)), spelling, prefix)
    start = writer.arguments()
    return Rules("\n".join(writer.lines), start, writer.weight)


class _Writer:
    def __init__(self, root: Schema, spelling: Spelling, prefix: str) -> None:
        self.lines: list[str] = []
        self.weight = 0
        self._root = root
        self._spelling = spelling
        self._prefix = prefix
        self._weighed: set[tuple[str, ...]] = set()
        self._names: dict[str, str] = {}
        self._made: dict[tuple[str, int], str] = {}

    def arguments(self) -> str:
        root = follow(self._root, self._root)
        if type_of(root) not in ("object", None):
            raise Unsupported("arguments are the properties of an object")
        if self._spelling is Spelling.JSON:
            return self._rule(f'"{{" {self._fields(root, self._key, REF_DEPTH)} "}}"')
        if not all(name.isidentifier() for name in mapping(root, "properties")):
            raise Unsupported("a parameter's name is no identifier")
        return self._rule(f'"(" {self._fields(root, _keyword, REF_DEPTH)} ")"')

    def _rule(self, expression: str, *, terminal: bool = False) -> str:
        if expression not in self._names:
            name = f"{self._prefix}{len(self.lines)}"
            self._names[expression] = name.upper() if terminal else name
            self.lines.append(f"{self._names[expression]}: {expression}")
        return self._names[expression]

    def _value(self, schema: object, left: int, depth: int) -> str:
        """A rule for a value; `left` is how many definitions it may yet lead through."""
        key = (json.dumps(schema, sort_keys=True), left)
        if key not in self._made:
            if depth > MAX_DEPTH:
                raise Unsupported("the schema is nested too deep")
            self._made[key] = self._make(schema, left, depth + 1)
        return self._made[key]

    def _make(self, schema: object, left: int, depth: int) -> str:
        if schema is True:
            return self._anything(ANY_DEPTH)
        schema = checked(schema)
        if "$ref" in schema:
            if left == 0:
                raise TooDeep("definitions lead through each other too often")
            return self._value(follow(self._root, schema), left - 1, depth)
        if "const" in schema or "enum" in schema:
            values = listed(schema, "enum") if "enum" in schema else [schema["const"]]
            return self._one_of(each for value in values for each in self._literals(value))
        for word in ("anyOf", "oneOf"):
            if word in schema:
                return self._choice(listed(schema, word), left, depth)
        if "allOf" in schema:
            return self._value(merged(self._root, schema), left, depth)
        kind = type_of(schema)
        if isinstance(kind, list):
            return self._choice([{**schema, "type": one} for one in kind], left, depth)
        return self._typed(str(kind), schema, left, depth)

    def _typed(self, kind: str, schema: Schema, left: int, depth: int) -> str:
        match kind:
            case "string":
                return self._string(schema)
            case "integer" | "number":
                return self._rule(regex(number(schema, whole=kind == "integer")), terminal=True)
            case "boolean":
                return self._one_of(self._literals(True) + self._literals(False))
            case "null":
                return self._one_of(self._literals(None))
            case "array":
                return self._array(schema, left, depth)
            case "object":
                return self._object(schema, left, depth)
            case "None":
                return self._anything(ANY_DEPTH)
        raise Unsupported(f"the type {kind} is unknown")

    def _choice(self, schemas: Sequence[object], left: int, depth: int) -> str:
        """Those that do not lead too deep; at least one does not."""
        rules, reason = [], Unsupported("there is nothing to choose from")
        for schema in schemas:
            try:
                rules.append(self._value(schema, left, depth))
            except TooDeep as error:
                reason = error
        if not rules:
            raise reason
        return self._one_of(rules)

    def _string(self, schema: Schema) -> str:
        least, most = at_least(schema, "minLength"), at_most(schema, "maxLength")
        pattern = schema.get("pattern")
        if isinstance(pattern, str):
            return self._rule(matching(pattern, least, most), terminal=True)
        known = FORMATS.get(str(schema.get("format")))
        if known:
            return self._rule(matching(f"^{known}$", least, most), terminal=True)
        return self._rule(strings(self._spelling, least, most), terminal=True)

    def _array(self, schema: Schema, left: int, depth: int) -> str:
        least, most = at_least(schema, "minItems"), at_most(schema, "maxItems")
        if "prefixItems" in schema:
            if least > len(listed(schema, "prefixItems")):
                raise Unsupported("items behind those with a place are not covered")
            return self._tuple(listed(schema, "prefixItems")[:most], left, depth)
        try:
            item = self._value(schema.get("items", True), left, depth)
        except TooDeep:
            if least:
                raise
            return self._rule('"[]"')
        return self._rule(f'"[" {_repeated(item, least, most)} "]"')

    def _tuple(self, items: Sequence[object], left: int, depth: int) -> str:
        inside = ' ", " '.join(self._value(item, left, depth) for item in items) or '""'
        if self._spelling is Spelling.JSON:
            return self._rule(f'"[" {inside} "]"')
        return self._rule(f'"(" {inside} {quoted(",)" if len(items) == 1 else ")")}')

    def _object(self, schema: Schema, left: int, depth: int) -> str:
        names = listed(mapping(schema, "propertyNames"), "enum")
        if names and not mapping(schema, "properties"):
            each = schema.get("additionalProperties", True)
            schema = {**schema, "properties": {str(name): each for name in names}}
        if not mapping(schema, "properties"):
            return self._map(schema, left, depth)
        if at_least(schema, "minProperties") > len(listed(schema, "required")):
            raise Unsupported("minProperties beside names is not covered")
        return self._rule(f'"{{" {self._fields(schema, self._key, left, depth)} "}}"')

    def _map(self, schema: Schema, left: int, depth: int) -> str:
        """An object of any keys; an empty key is not written."""
        patterns = mapping(schema, "patternProperties")
        if len(patterns) > 1 or listed(schema, "required"):
            raise Unsupported("properties of several kinds are not covered")
        keys: Schema = mapping(schema, "propertyNames") or {"minLength": 1}
        values = schema.get("additionalProperties", True)
        for pattern, described in patterns.items():
            keys, values = {"pattern": pattern}, described
        least, most = at_least(schema, "minProperties"), at_most(schema, "maxProperties")
        try:
            value = '""' if values is False else self._value(values, left, depth)
        except TooDeep:
            values = False
        if values is False:
            if least:
                raise Unsupported("properties are asked for and none is allowed")
            return self._rule('"{}"')
        key = self._value({**keys, "type": "string"}, left, depth)
        pair = self._rule(f'{key} ": " {value}')
        return self._rule(f'"{{" {_repeated(pair, least, most)} "}}"')

    def _fields(
        self, schema: Schema, opening: Callable[[str], str], left: int, depth: int = 0
    ) -> str:
        """A rule for the properties in their order, made from the last to the first.

        `first` is what may be written while nothing is, `more` what may follow something.
        """
        required, properties = listed(schema, "required"), mapping(schema, "properties")
        if not set(map(str, required)) <= properties.keys():
            raise Unsupported("a required property is not described")
        first, more = '""', '""'
        self._weigh(map(str, required))
        for name, described in reversed([*properties.items()]):
            needed = name in required
            value = self._field_value(name, described, left, depth, needed)
            if value is None:
                continue
            field = f"{quoted(opening(name))} {value}"
            first = self._rule(f"{field} {more}" + ("" if needed else f" | {first}"))
            more = self._rule(f'", " {field} {more}' + ("" if needed else f" | {more}"))
        return first

    def _weigh(self, required: Iterable[str]) -> None:
        names = tuple(required)
        if names not in self._weighed:  # once only, however often a definition contains itself
            self._weighed.add(names)
            self.weight += sum(len(name) + 6 for name in names)

    def _field_value(
        self, name: str, schema: object, left: int, depth: int, needed: bool
    ) -> str | None:
        """The rule of a property's value; None if the property had better be left out."""
        try:
            return self._value(schema, left, depth)
        except TooDeep:
            if needed:
                raise
            return None
        except Unsupported as error:
            if depth:
                raise
            log.info("any value may be given for %s: %s", name, error)
            return self._anything(ANY_DEPTH)

    def _anything(self, depth: int) -> str:
        key = ("", depth)
        if key not in self._made:
            kinds = [self._value({"type": kind}, 0, 0) for kind in _SCALARS]
            if depth:
                inner = self._anything(depth - 1)
                name = self._value({"type": "string", "minLength": 1}, 0, 0)
                pair = self._rule(f'{name} ": " {inner}')
                kinds.append(f'"[" {_repeated(inner, 0, None)} "]"')
                kinds.append(f'"{{" {_repeated(pair, 0, None)} "}}"')
            self._made[key] = self._one_of(kinds)
        return self._made[key]

    def _key(self, name: str) -> str:
        return literal(self._spelling, name) + ": "

    def _literals(self, value: object) -> list[str]:
        return literals(self._spelling, value)

    def _one_of(self, choices: Iterable[str]) -> str:
        expression = " | ".join(choices)
        if not expression:
            raise Unsupported("there is nothing to choose from")
        return self._rule(expression)


def _keyword(name: str) -> str:
    return name + "="


def _repeated(item: str, least: int, most: int | None) -> str:
    most = max(least, MAX_ITEMS) if most is None else most
    if least > most:
        raise Unsupported("more is asked for than is allowed")
    if most == 0:
        return '""'
    several = f'{item} (", " {item}){{{max(least - 1, 0)},{most - 1}}}'
    return several if least else f"({several})?"
