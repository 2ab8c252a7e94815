"""Keys and passwords: from the environment or Streamlit's file of secrets, and never shown."""

import os
import re
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from tools._declaration import ToolError

MASK = "[secret]"
MIN_GUESSED = 8  # shorter values are everyday words, and masking them would garble results

_SECRETIVE = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$", re.I)
_used: set[str] = set()


def secret(name: str) -> str:
    """The secret of this name. Its value is masked in whatever the tool returns or raises."""
    value = find_secret(name)
    if value is None:
        raise ToolError(
            f"The secret {name} is not set. Its owner can set it in the environment or in "
            ".streamlit/secrets.toml."
        )
    _used.add(value)
    return value


def find_secret(name: str) -> str | None:
    value = os.environ.get(name) or _from_file().get(name)
    return value if isinstance(value, str) and value else None


def masked(text: str) -> str:
    for value in _values():
        text = text.replace(value, MASK)
    return text


def masked_bytes(data: bytes) -> bytes:
    for value in _values():
        data = data.replace(value.encode(), MASK.encode())
    return data


def secrets_file() -> Path:
    chosen = os.environ.get("SECRETS_FILE")
    return Path(chosen or Path(__file__).parents[1] / ".streamlit/secrets.toml").absolute()


def _from_file() -> dict[str, object]:
    try:
        return tomllib.loads(secrets_file().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ToolError(f"The file of secrets cannot be read: {error}") from error


def _values() -> list[str]:
    """What must not be shown, longest first, also as it stands in an address."""
    known = {value for name, value in os.environ.items() if _SECRETIVE.search(name)}
    with suppress(ToolError):  # whoever asks for a secret is told
        known |= set(_strings(_from_file()))
    found = _used | {value for value in known if len(value) >= MIN_GUESSED}
    found |= {quote(value, safe="") for value in found}
    return sorted(found, key=len, reverse=True)


def _strings(node: object) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for value in node.values():
            yield from _strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from _strings(value)
