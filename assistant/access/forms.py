"""What the gate's own pages send and get back: forms, pages, ways on."""

import re
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from assistant.access.admission import Admission
from assistant.access.cookies import FORM, Signatures
from assistant.access.signin_page import Paper

_OWN_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]*")  # no backslash: browsers read it as a slash
_LONGEST_PATH: Final = 2048
_MOST_FIELDS: Final = 16
_FORM_TYPE: Final = "application/x-www-form-urlencoded"


def own_path(goto: str) -> str:
    """Where to go on, if it is on this server; its first page otherwise."""
    return goto if len(goto) <= _LONGEST_PATH and _OWN_PATH.fullmatch(goto) else "/"


def go_on(goto: str) -> Response:
    return RedirectResponse(own_path(goto), status_code=303)


async def read_form(request: Request) -> dict[str, str]:
    """The fields; none of a body that is no form."""
    body = await request.body()
    if not request.headers.get("content-type", "").startswith(_FORM_TYPE):
        return {}
    try:
        pairs = parse_qsl(
            body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_MOST_FIELDS
        )
    except ValueError:
        return {}
    return dict(pairs)


class Stationery:
    """Pages whose forms only the browser that was shown them can send back."""

    def __init__(self, signatures: Signatures) -> None:
        self._signatures = signatures

    def paper(self, admission: Admission) -> tuple[Paper, str]:
        """What a page is written on, and the cookie that goes with it."""
        cookie = self._signatures.form_cookie(admission.jar.get(FORM))
        return Paper(admission.language, self._signatures.form_field(cookie)), cookie

    def page(
        self, admission: Admission, html: str, cookie: str, status_code: int = 200
    ) -> HTMLResponse:
        response = HTMLResponse(html, status_code)
        admission.jar.put(response, FORM, cookie)
        return response

    def is_own(self, admission: Admission, form: dict[str, str]) -> bool:
        return self._signatures.is_own_form(admission.jar.get(FORM), form.get("form", ""))
