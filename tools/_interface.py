"""A function as a model is told of it, and its arguments checked: all read from the signature."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import docstring_parser
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError
from pydantic_core import ErrorDetails, PydanticSerializationError, to_jsonable_python

from tools._declaration import AuthorError

MAX_SHOWN = 60  # characters of a wrong value that the model sees again
MAX_FAULTS = 4

_CONFIG = ConfigDict(extra="forbid", coerce_numbers_to_str=True, arbitrary_types_allowed=False)
_NAMELESS = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class BadArguments(Exception):
    """The arguments of a call are not what the tool takes; the message is for the model."""


@dataclass(frozen=True)
class _Parameter:
    name: str
    kind: Any  # what pydantic takes as a type
    description: str
    required: bool
    default: object = None
    has_default: bool = False


class Interface:
    """The name, description and JSON schema of a function, and the check of its arguments."""

    def __init__(self, function: Callable[..., object]) -> None:
        self.name = function.__name__
        self.description, described = _read_docstring(function)
        self._parameters = list(_read_parameters(function, described))
        self._model = self._make_model()
        self.schema = self._make_schema()

    def bind(self, arguments: Mapping[str, object]) -> dict[str, object]:
        """The arguments, converted to the types of the signature and ready for the call."""
        # ChatGLM3's optional parameters have no default; some models write None for them.
        optional = {
            each.name for each in self._parameters if not each.required and not each.has_default
        }
        given = {k: v for k, v in arguments.items() if v is not None or k not in optional}
        try:
            values = self._model.model_validate(given)
        except ValidationError as error:
            raise BadArguments(self._explain(error.errors(include_url=False))) from None
        bound: dict[str, object] = {}
        for field, each in zip(type(values).model_fields, self._parameters, strict=True):
            if field in values.model_fields_set:
                bound[each.name] = getattr(values, field)
            elif not each.has_default:
                bound[each.name] = None
        return bound

    def _make_model(self) -> type[BaseModel]:
        # Fields are numbered, since a parameter may be called `json`, `copy` or `_x`.
        fields: dict[str, Any] = {}
        for index, each in enumerate(self._parameters):
            default: Any = ... if each.required else None
            description = each.description or None
            field = Field(default=default, alias=each.name, description=description)
            fields[f"a{index}"] = (each.kind, field)
        try:
            return create_model(self.name, __config__=_CONFIG, **fields)
        except (PydanticSchemaGenerationError, PydanticUserError) as error:
            raise AuthorError(f"{self.name}: {error.message}") from error

    def _make_schema(self) -> dict[str, object]:
        try:
            schema = self._model.model_json_schema()
        except PydanticUserError as error:
            raise AuthorError(f"{self.name}: {error.message}") from error
        properties = schema.setdefault("properties", {})
        for each in self._parameters:
            properties[each.name].pop("default", None)
            if each.has_default and not each.required and each.default is not None:
                properties[each.name] |= _default(each.default)
        inlined = _inlined(schema, schema.pop("$defs", {}), ())
        assert isinstance(inlined, dict)
        inlined.pop("description", None)
        return inlined

    def _explain(self, errors: Sequence[ErrorDetails]) -> str:
        known = ", ".join(each.name for each in self._parameters) or "none"
        faults = [_fault(error, known) for error in errors[:MAX_FAULTS]]
        if len(errors) > MAX_FAULTS:
            faults.append(f"and {len(errors) - MAX_FAULTS} more")
        return f"{self.name} was not run. " + "; ".join(faults) + "."


def _read_docstring(function: Callable[..., object]) -> tuple[str, dict[str, str]]:
    """The description, and those of parameters, in the style of Google, NumPy or Sphinx."""
    text = inspect.getdoc(function) or ""
    try:
        parsed = docstring_parser.parse(text)
    except docstring_parser.ParseError:
        return text, {}
    described = {each.arg_name: each.description or "" for each in parsed.params}
    return (parsed.description or "").strip(), described


def _read_parameters(
    function: Callable[..., object], described: Mapping[str, str]
) -> Iterator[_Parameter]:
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError as error:
        raise AuthorError(f"{function.__name__}: a type hint is unknown: {error}") from error
    for name, parameter in inspect.signature(function).parameters.items():
        where = f"{function.__name__}: the parameter {name}"
        if parameter.kind in _NAMELESS:
            raise AuthorError(f"{where} takes any number of values; name each of them")
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            raise AuthorError(f"{where} has no name for a caller; remove the `/`")
        if name not in hints:
            raise AuthorError(f"{where} has no type hint; write {name}: str, for example")
        kind, description, required = _read_hint(hints[name])
        has_default = parameter.default is not inspect.Parameter.empty
        yield _Parameter(
            name=name,
            kind=kind,
            description=description or described.get(name, ""),
            required=not has_default if required is None else required,
            default=parameter.default,
            has_default=has_default,
        )


def _read_hint(hint: Any) -> tuple[Any, str, bool | None]:
    """A type, and what `Annotated` says: a description and, as ChatGLM3 has it, if required."""
    if get_origin(hint) is not Annotated:
        return hint, "", None
    kind, *notes = get_args(hint)
    description = next((note for note in notes if isinstance(note, str)), "")
    required = next((note for note in notes if isinstance(note, bool)), None)
    rest = [note for note in notes if not isinstance(note, str | bool)]
    for note in rest:
        kind = Annotated[kind, note]
    return kind, description, required


def _default(value: object) -> dict[str, object]:
    try:
        return {"default": to_jsonable_python(value)}
    except PydanticSerializationError:
        return {}


def _inlined(node: object, definitions: Mapping[str, object], inside: tuple[str, ...]) -> object:
    """A schema without references and titles: models read it better, and so do grammars."""
    if isinstance(node, list):
        return [_inlined(each, definitions, inside) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        name = str(node["$ref"]).rpartition("/")[2]
        if name in inside:  # a type within itself ends here
            return {"type": "object"}
        rest = {key: value for key, value in node.items() if key != "$ref"}
        whole = _inlined(definitions[name], definitions, (*inside, name))
        return {**(whole if isinstance(whole, dict) else {}), **rest}
    found: dict[str, object] = {}
    for key, value in node.items():
        if key == "properties":  # its keys are names, and `title` may be one
            found[key] = {k: _inlined(v, definitions, inside) for k, v in value.items()}
        elif key != "title":
            found[key] = _inlined(value, definitions, inside)
    return found


def _fault(error: ErrorDetails, known: str) -> str:
    where = ".".join(map(str, error["loc"])) or "the arguments"
    if error["type"] == "missing":
        return f"{where} is missing"
    if error["type"] == "extra_forbidden":
        return f"{_shown(where)} is no parameter (there are: {known})"
    expected = error["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    found = error["input"]
    return f"{where} is {_shown(repr(found))} ({type(found).__name__}), expected {expected}"


def _shown(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"
