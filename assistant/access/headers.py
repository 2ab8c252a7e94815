"""What every response says to browsers: what a page may load, who may frame it, who may keep it."""

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Send

# The one script inside Streamlit's own page; a test holds its hash to the installed page.
_STREAMLIT_INLINE: Final = "'sha256-THxz9J9+wf7rhwR2YkXJoSZ13UCmYyC+3lNDv2+8ugA='"

# A model's text is hostile: whatever slips through as an image, a frame or a script stays on this
# server. Streamlit sets styles in place, and its charts and tables need WebAssembly and workers.
PAGES: Final = (
    "default-src 'self'; "
    f"script-src 'self' 'wasm-unsafe-eval' {_STREAMLIT_INLINE}; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "frame-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'self'"
)
OURS: Final = (
    "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_ALWAYS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_HALF_A_YEAR: Final = 182 * 24 * 3600


def guarded(send: Send, *, is_ours: bool, is_secure: bool) -> Send:
    """`send`, with the headers added to the response's start.

    The conversation's id is in a page's address, so no link may carry it along. The gate's own
    pages say where their forms come from, or browsers would send `Origin: null`.
    """

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.update(_ALWAYS)
            headers["Content-Security-Policy"] = OURS if is_ours else PAGES
            headers["Referrer-Policy"] = "same-origin" if is_ours else "no-referrer"
            if is_secure:
                headers["Strict-Transport-Security"] = f"max-age={_HALF_A_YEAR}"
            _keep_private(headers)
        await send(message)

    return send_with_headers


def _keep_private(headers: MutableHeaders) -> None:
    """A cache on the way (Cloudflare has one) must not hand to strangers what it saw pass.

    Streamlit's own scripts and styles, the same for everybody, are marked immutable.
    """
    if "immutable" not in headers.get("Cache-Control", ""):
        headers["Cache-Control"] = "no-store"
