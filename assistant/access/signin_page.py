"""The gate's own pages, as HTML without any script: they are what a stranger's phone gets.

Every value from outside goes through `_h`; the texts are ours.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape as _h
from typing import Final

from assistant.access.keys import Key
from assistant.access.visitor import Visitor
from assistant.access.ways import Button
from assistant.texts import Language, text

STYLE: Final = """
:root { color-scheme: light dark; --back: #f3f5f8; --card: #fff; --ink: #1d2430; --line: #8b95a5;
  --main: #2563a8; --on-main: #fff; --bad: #a3211b; }
@media (prefers-color-scheme: dark) { :root { --back: #14181f; --card: #1e242e; --ink: #e6e9ef;
  --line: #76839a; --main: #6aa5e8; --on-main: #10151c; --bad: #ff9d94; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 1rem; min-height: 100vh; display: grid; place-items: center;
  background: var(--back); color: var(--ink); font: 1rem/1.5 system-ui, "Noto Sans CJK SC",
  "PingFang SC", "Microsoft YaHei", sans-serif; }
main { width: 100%; max-width: 26rem; padding: 1.5rem; background: var(--card);
  border: 1px solid var(--line); border-radius: .75rem; }
h1 { margin: 0 0 1rem; font-size: 1.4rem; } h2 { margin: 1.5rem 0 .5rem; font-size: 1.1rem; }
label { display: block; margin: .75rem 0 .25rem; }
input { width: 100%; min-height: 2.75rem; padding: .5rem .75rem; font: inherit; color: inherit;
  background: var(--back); border: 1px solid var(--line); border-radius: .5rem; }
button, a.button { display: block; width: 100%; min-height: 2.75rem; margin-top: 1rem;
  padding: .5rem .75rem; font: inherit; font-weight: 600; text-align: center; cursor: pointer;
  text-decoration: none; color: var(--on-main); background: var(--main);
  border: 1px solid var(--main); border-radius: .5rem; }
button.quiet, a.quiet { color: var(--main); background: transparent; }
:focus-visible { outline: 3px solid var(--main); outline-offset: 2px; }
[role=alert] { padding: .5rem .75rem; color: var(--bad); border: 1px solid var(--bad);
  border-radius: .5rem; }
code { display: block; padding: .5rem; overflow-wrap: anywhere; background: var(--back); }
ul { padding: 0; list-style: none; } li { overflow-wrap: anywhere; margin: .75rem 0; }
li button { margin-top: .25rem; }
"""
STYLE_PATH: Final = "/signin/style.css"


@dataclass(frozen=True)
class Paper:
    """What every form on a page needs: a language, and the field that shows that it is ours."""

    language: Language
    form: str

    def say(self, key: str, **fields: object) -> str:
        return _h(text(self.language, key, **fields))


def sign_in(paper: Paper, goto: str, error: str, name: str, buttons: Sequence[Button]) -> str:
    ways = "".join(
        f'<a class="button quiet" href="{_h(each.path)}">{_h(each.labels[paper.language])}</a>'
        for each in buttons
    )
    fields = (
        f'<label for="name">{paper.say("signin_name")}</label>'
        f'<input id="name" name="name" value="{_h(name)}" autocomplete="username" required '
        'autocapitalize="none" autocorrect="off" spellcheck="false" maxlength="64">'
        f'<label for="password">{paper.say("signin_password")}</label>'
        '<input id="password" name="password" type="password" autocomplete="current-password" '
        'required maxlength="1024">'
    )
    hidden = _hidden("next", goto)
    form = _form(paper, "/signin", fields + hidden, paper.say("signin"))
    return _page(paper, paper.say("signin"), _alert(error) + form + ways)


def notice(paper: Paper, error: str) -> str:
    """A page that can only say why there is none."""
    return _page(paper, paper.say("title"), _alert(error))


def use_link(paper: Paper, path: str) -> str:
    hint = f"<p>{paper.say('signin_link_hint')}</p>"
    form = _form(paper, path, "", paper.say("signin"))
    return _page(paper, paper.say("signin_link"), hint + form)


def account(
    paper: Paper, visitor: Visitor, keys: Sequence[Key], made: str = "", error: str = ""
) -> str:
    """Who the visitor is here, the visitor's keys, and the way out."""
    back = f'<a class="button quiet" href="/">{paper.say("account_back")}</a>'
    if not visitor.name:
        body = f"<p>{paper.say('account_local')}</p>"
        return _page(paper, paper.say("account"), body + back)
    who = f"<p>{_h(visitor.name)} · {paper.say(f'access_{visitor.access}')}</p>"
    if visitor.session:
        out = _form(paper, "/signout", "", paper.say("signout"), quiet=True)
    else:
        out = f"<p>{paper.say('account_elsewhere')}</p>"
    body = _alert(error) + who + _keys(paper, keys, made) + back + out
    return _page(paper, paper.say("account"), body)


def _keys(paper: Paper, keys: Sequence[Key], made: str) -> str:
    shown = f"<p>{paper.say('key_made')}</p><code>{_h(made)}</code>" if made else ""
    rows = "".join(f"<li>{_key(paper, each)}</li>" for each in keys)
    field = (
        f'<label for="label">{paper.say("key_label")}</label>'
        '<input id="label" name="label" maxlength="64" autocomplete="off">'
    )
    make = _form(paper, "/account/keys", field, paper.say("key_make"), quiet=True)
    head = f"<h2>{paper.say('keys')}</h2><p>{paper.say('keys_hint')}</p>"
    return f"{head}{shown}<ul>{rows}</ul>{make}"


def _key(paper: Paper, key: Key) -> str:
    day = time.strftime("%Y-%m-%d", time.gmtime(key.created))
    which = paper.say("key_revoke_which", name=f"{key.start}… {key.label}")
    hidden = _hidden("id", key.id)
    form = _form(
        paper, "/account/keys/revoke", hidden, paper.say("key_revoke"), quiet=True, title=which
    )
    return f"{_h(key.start)}… · {_h(key.label)} · {day}{form}"


def _form(
    paper: Paper, action: str, fields: str, button: str, *, quiet: bool = False, title: str = ""
) -> str:
    look = ' class="quiet"' if quiet else ""
    name = f' aria-label="{title}"' if title else ""
    return (
        f'<form method="post" action="{_h(action)}">{_hidden("form", paper.form)}{fields}'
        f"<button{look}{name}>{button}</button></form>"
    )


def _hidden(name: str, value: str) -> str:
    return f'<input type="hidden" name="{name}" value="{_h(value)}">'


def _alert(error: str) -> str:
    return f'<p role="alert">{_h(error)}</p>' if error else ""


def _page(paper: Paper, title: str, body: str) -> str:
    language = "zh-CN" if paper.language is Language.CHINESE else "en"
    return (
        f'<!DOCTYPE html><html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="robots" content="noindex"><title>{title}</title>'
        f'<link rel="icon" href="data:,"><link rel="stylesheet" href="{STYLE_PATH}"></head>'
        f"<body><main><h1>{title}</h1>{body}</main></body></html>"
    )
