"""Reading a JSON schema, whose every part may be missing or of the wrong type."""

import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

Schema = Mapping[str, object]

_MOST_STEPS = 32  # from a reference to what it means
_REFUSED = {"not", "if", "then", "else", "contains", "minContains", "multipleOf", "additionalItems"}
_REFUSED |= {"dependencies", "dependentRequired", "dependentSchemas", "unevaluatedProperties"}
_REFUSED |= {"unevaluatedItems", "$dynamicRef", "$recursiveRef"}
_ANNOTATIONS = frozenset({"title", "description", "default", "examples", "deprecated"})


class Unsupported(Exception):
    """The schema says something that no rule here stands for, or nothing can satisfy it."""


class TooDeep(Unsupported):
    """A definition contains itself more often than is followed."""


def checked(schema: object) -> Schema:
    """The schema, if no rule is missing for what it says."""
    if not isinstance(schema, Mapping):
        raise Unsupported(f"{schema!r} is no schema")
    refused = sorted(_REFUSED & schema.keys())
    if refused:
        raise Unsupported(f"{refused[0]} is not covered")
    return schema


def mapping(schema: Schema, key: str) -> Schema:
    value = schema.get(key)
    return value if isinstance(value, Mapping) else {}


def listed(schema: Schema, key: str) -> Sequence[object]:
    value = schema.get(key)
    return value if isinstance(value, list | tuple) else ()


def at_least(schema: Schema, key: str) -> int:
    value = schema.get(key)
    return value if isinstance(value, int) else 0


def at_most(schema: Schema, key: str) -> int | None:
    value = schema.get(key)
    return value if isinstance(value, int) else None


def edge(
    schema: Schema, key: str, strict_key: str, narrower: Callable[[Decimal, Decimal], Decimal]
) -> tuple[Decimal | None, bool]:
    """A bound of a number, and whether the number must be beyond it."""
    bound, strict = _number(schema.get(key)), _number(schema.get(strict_key))
    if strict is None:
        return bound, False
    if bound is None or narrower(bound, strict) == strict:
        return strict, True
    return bound, False


def follow(root: Schema, schema: Schema) -> Schema:
    """What a reference means; what stands beside it counts too."""
    for _ in range(_MOST_STEPS):
        if "$ref" not in schema:
            return schema
        found: object = root
        path = str(schema["$ref"])
        for part in path.split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, Mapping) else None
        if not path.startswith("#") or not isinstance(found, Mapping):
            raise Unsupported(f"the reference {path} leads nowhere")
        schema = {**found, **{key: schema[key] for key in schema if key != "$ref"}}
    raise Unsupported("a reference leads to itself")


def merged(root: Schema, schema: Schema) -> Schema:
    """What `allOf` says at once, if no two of its parts say something about the same."""
    whole = {key: value for key, value in schema.items() if key != "allOf"}
    for part in listed(schema, "allOf"):
        said = follow(root, checked(part))
        both = (whole.keys() & said.keys()) - _ANNOTATIONS
        if any(whole[key] != said[key] for key in both):
            raise Unsupported("the parts of allOf are about the same")
        whole = {**said, **whole}
    return whole


def type_of(schema: Schema) -> object:
    """The type, or what the other words say about it."""
    if "type" in schema:
        return schema["type"]
    if schema.keys() & {"properties", "additionalProperties", "patternProperties"}:
        return "object"
    if schema.keys() & {"items", "prefixItems"}:
        return "array"
    return "string" if schema.keys() & {"pattern", "minLength", "maxLength"} else None


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return Decimal(str(value))
