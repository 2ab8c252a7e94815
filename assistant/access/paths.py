"""What a path leads to, as far as the gate treats it differently.

Everything needs a visitor that is not said here to be open. Which prefix the pages are served under
(`server.baseUrlPath`) is not known to the gate, so ids are looked for behind any.
"""

from dataclasses import dataclass
from typing import Final

OPEN: Final = frozenset({"/health"})  # says no more to a stranger than whether there is a model
API: Final = "/v1"
OPERATORS_ONLY: Final = ("/_stcore/metrics", "/_stcore/agent/")
_UPLOADS: Final = "/_stcore/upload_file/"
_MEDIA: Final = "/media/"


@dataclass(frozen=True)
class Owned:
    """What only the visitor it was told to may have."""

    session: str = ""
    media: str = ""


def owned(path: str) -> Owned | None:
    _, is_upload, rest = path.partition(_UPLOADS)
    if is_upload:
        return Owned(session=rest.partition("/")[0])
    before, is_media, name = path.rpartition(_MEDIA)
    if is_media and not before.endswith("/static"):  # Streamlit's own fonts are in /static/media
        return Owned(media=name.partition(".")[0])
    return None


def is_api(path: str) -> bool:
    return path == API or path.startswith(API + "/")


def is_for_operators(path: str) -> bool:
    return any(each in path for each in OPERATORS_ONLY)
