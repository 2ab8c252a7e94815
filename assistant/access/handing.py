"""What the application behind the gate is given of a request."""

from collections.abc import Callable
from typing import Final

from starlette.types import Scope

from assistant.access.admission import Admission
from assistant.access.visitor import ACCESS_HEADER, VISITOR_HEADER

_PROTOCOLS: Final = b"sec-websocket-protocol"
_SESSION: Final = 2  # in Streamlit's "protocols": its name, the XSRF token, a session to resume
_NAME, _ACCESS = VISITOR_HEADER.encode(), ACCESS_HEADER.encode()


def handed_in(scope: Scope, admission: Admission) -> Scope:
    """The request with who it is from in its headers, whatever it said itself."""
    headers = [each for each in scope["headers"] if each[0].lower() not in (_NAME, _ACCESS)]
    visitor = admission.visitor
    if visitor is not None:
        headers += [(_NAME, visitor.name.encode()), (_ACCESS, visitor.access.encode())]
    handed = {**scope, "headers": headers}
    if admission.is_secure:
        handed["scheme"] = "wss" if scope["type"] == "websocket" else "https"
    admission.put_into(handed)
    return handed


def without_resumption(scope: Scope, may_resume: Callable[[str], bool]) -> Scope:
    """A handshake that begins a new session, unless the visitor may go on with the one it names."""
    sent = b",".join(value for name, value in scope["headers"] if name.lower() == _PROTOCOLS)
    kept = [each.strip() for each in sent.decode("latin-1").split(",")]
    if len(kept) > _SESSION and not may_resume(kept[_SESSION]):
        kept = kept[:_SESSION]
    headers = [each for each in scope["headers"] if each[0].lower() != _PROTOCOLS]
    if sent:
        headers.append((_PROTOCOLS, ", ".join(kept).encode("latin-1")))
    return {**scope, "headers": headers, "subprotocols": kept if sent else []}
