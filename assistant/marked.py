"""YAML or JSON that a person wrote, as plain values that still know their lines.

Refused: anchors, aliases and tags (a few lines of them make gigabytes), keys given twice, more
than one document, and whatever is too long or too deep.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import yaml

from assistant.errors import BadDocument

MAX_LENGTH = 64_000
MAX_DEPTH = 24

Where = tuple[str | int, ...]

_NAMESPACE = "tag:yaml.org,2002:"
_CONSTRUCTOR = yaml.constructor.SafeConstructor()


@dataclass(frozen=True)
class Marked:
    """A document: its value, and the line of each of its parts."""

    name: str
    value: object
    lines: dict[Where, int]

    def wrong(self, where: Where, found: str, expected: str) -> BadDocument:
        """The error that says where something is not as it should be."""
        known = where
        while known not in self.lines and known:
            known = known[:-1]  # what is missing is missed at what should hold it
        place = ".".join(map(str, where)) or "document"
        return BadDocument(
            name=self.name,
            line=self.lines.get(known, 1),
            where=place,
            found=found,
            expected=expected,
        )

    def object_at(self, value: object, where: Where) -> dict[str, object]:
        """The value, which stands at `where`, if it is an object."""
        if not isinstance(value, dict):
            found = "nothing" if where not in self.lines else describe(value)
            raise self.wrong(where, found, "an object")
        return value

    def only(self, item: Mapping[str, object], where: Where, known: Sequence[str]) -> None:
        """Refuses a key that nothing would read: it is mistyped, or wants what we do not do."""
        for key in item:
            if key not in known:
                raise self.wrong((*where, key), describe(key), f"one of {', '.join(known)}")


def read_marked(text: str, name: str) -> Marked:
    """`name` is a file's path, or what the text is called where it is typed."""
    _check_length(text, name)
    is_json = text.lstrip()[:1] in ("{", "[") and _json_error(text) is None
    return _read_json(text, name) if is_json else _read_yaml(text, name)


def read_marked_json(text: str, name: str) -> Marked:
    """JSON only; its own message where it is none."""
    _check_length(text, name)
    error = _json_error(text)
    if error:
        raise _wrong(name, error.lineno, f"a mistake: {error.msg}", "JSON")
    return _read_json(text, name)


def _check_length(text: str, name: str) -> None:
    if len(text) > MAX_LENGTH:
        raise _wrong(name, 1, f"{len(text)} characters", f"at most {MAX_LENGTH}")


def describe(value: object) -> str:
    """What was found, as a person would write it."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    written = json.dumps(value, ensure_ascii=False)
    return written if len(written) <= 60 else written[:60] + "…"


def _read_json(text: str, name: str) -> Marked:
    # YAML does not take a tab between two tokens; within JSON's strings there is none.
    marked = _read_yaml(text.replace("\t", " "), name)
    return Marked(name, json.loads(text), marked.lines)


def _json_error(text: str) -> json.JSONDecodeError | None:
    try:
        json.dumps(json.loads(text), ensure_ascii=False, allow_nan=False).encode()
    except json.JSONDecodeError as error:
        return error
    except (RecursionError, ValueError) as error:  # too deep, no number, half a character
        return json.JSONDecodeError(str(error), text, 0)
    return None


def _read_yaml(text: str, name: str) -> Marked:
    try:
        _check_events(text, name)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        reason = str(getattr(error, "problem", None) or error).splitlines()[0]
        raise _wrong(
            name, mark.line + 1 if mark is not None else 1, f"a mistake: {reason}", "YAML or JSON"
        ) from error
    if node is None:
        raise _wrong(name, 1, "nothing", "YAML or JSON")
    lines: dict[Where, int] = {}
    return Marked(name, _value(node, (), lines, name), lines)


def _check_events(text: str, name: str) -> None:
    """Reads without building anything, and stops at the first thing that is refused."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        documents += isinstance(event, yaml.DocumentStartEvent)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if documents > 1:
            raise _wrong(name, line, "a second document", "one")
        if depth > MAX_DEPTH:
            raise _wrong(name, line, f"more than {MAX_DEPTH} levels", "fewer")
        if isinstance(event, yaml.NodeEvent) and event.anchor:
            raise _wrong(name, line, f"an anchor or alias, {event.anchor[:40]!r}", "none")
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag:
            raise _wrong(name, line, f"a tag, {event.tag[:60]!r}", "none")


def _value(node: yaml.Node, where: Where, lines: dict[Where, int], name: str) -> object:
    lines[where] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        return dict(_members(node, where, lines, name))
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*where, i), lines, name) for i, item in enumerate(node.value)]
    assert isinstance(node, yaml.ScalarNode)
    try:
        return _scalar(node)
    except (ValueError, OverflowError, KeyError) as error:
        raise _wrong(name, lines[where], repr(node.value[:40]), "a plain value") from error


def _members(
    node: yaml.MappingNode, where: Where, lines: dict[Where, int], name: str
) -> Iterator[tuple[str, object]]:
    seen = set()
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = key_node.value
        if not isinstance(key_node, yaml.ScalarNode) or not isinstance(key, str):
            raise _wrong(name, line, "a key that is not text", "text")
        if key in seen:
            raise _wrong(name, line, f"{key[:60]!r} a second time", "each key once")
        seen.add(key)
        value = _value(value_node, (*where, key), lines, name)
        lines[(*where, key)] = line
        yield key, value


def _scalar(node: yaml.ScalarNode) -> object:
    """Only what JSON has too; a date stays the text that it is."""
    match node.tag.removeprefix(_NAMESPACE):
        case "null":
            return None
        case "bool":
            return bool(_CONSTRUCTOR.construct_yaml_bool(node))
        case "int":
            return int(_CONSTRUCTOR.construct_yaml_int(node))
        case "float":
            number = float(_CONSTRUCTOR.construct_yaml_float(node))
            if not math.isfinite(number):
                raise ValueError(number)
            return number
    # JSON escapes a character in two halves; a half alone is none, and is refused here.
    text: str = node.value.encode("utf-16", "surrogatepass").decode("utf-16")
    return text


def _wrong(name: str, line: int, found: str, expected: str) -> BadDocument:
    return BadDocument(name=name, line=line, where="document", found=found, expected=expected)
