"""Where code runs: what stands in the talk's place until there is a sandbox, and its level."""

import ipaddress

import streamlit as st

from assistant import (
    AssistantError,
    BenchState,
    Conversation,
    Language,
    Level,
    Preparing,
    SandboxRefused,
    Unprepared,
    Unusable,
    Usable,
    instance,
    literal,
    say,
    text,
)
from pages.parts import session, visitor

EVERY = 0.5  # seconds between two looks
LOCAL_NAMES = ("", "localhost")


def draw(conversation: Conversation, language: Language) -> None:
    """Goes on only where code can be run, by this person."""
    workbench = instance().workbench
    if isinstance(workbench.state, Unprepared):
        workbench.prepare()
    state = workbench.state
    match state:
        case Usable() if may_run(conversation):
            return
        case Usable():
            shared = instance().exposure.sharing() is not None
            why = "sandbox_weak_public" if shared else "sandbox_weak_remote"
            draw_failure(text(language, why), "", language)
        case Unusable(error):
            draw_failure(say(error, language), mending(error), language)
        case _:
            st.title(text(language, "sandbox_preparing"))
            st.caption(text(language, "sandbox_preparing_hint"))
            st.fragment(draw_progress, run_every=EVERY)(language)
    st.stop()


def may_run(conversation: Conversation) -> bool:
    """Whether the isolation here, once it is known, is enough for who looks."""
    state = instance().workbench.state
    if not isinstance(state, Usable) or state.level.enforced:
        return True
    exposure = instance().exposure
    if exposure.forbids_level(state.level, conversation.owner):
        return False
    return exposure.sharing() is not None or is_local()


def draw_progress(language: Language) -> None:
    visitor.checked()
    state = instance().workbench.state
    if not isinstance(state, Preparing):
        st.rerun()
    step = state.set_up
    if step is None:
        st.markdown(f":shimmer[{text(language, 'sandbox_trying')}]")
    else:
        words = text(
            language, "sandbox_set_up", what=step.what, done=step.done + 1, total=step.total
        )
        st.progress(step.done / step.total, text=words)


def draw_failure(why: str, command: str, language: Language) -> None:
    st.title(text(language, "sandbox_failed"))
    st.error(literal(why), icon=":material/error:")
    if command:
        st.caption(text(language, "sandbox_mend"))
        st.code(command, language="bash")
    st.button(
        text(language, "try_again"),
        icon=":material/refresh:",
        key="try_sandbox",
        on_click=session.attempt,
        args=(instance().workbench.prepare,),
    )


def draw_level(language: Language) -> None:
    """How strongly the code is confined, in words; to be drawn in the sidebar."""
    state: BenchState = instance().workbench.state
    if not isinstance(state, Usable):
        return
    icon = ":material/verified_user:" if state.level.enforced else ":material/gpp_maybe:"
    words = text(
        language, "sandbox_level", words=state.level.words(language.value), level=state.level
    )
    with st.expander(words, icon=icon, key="sandbox_level"):
        if state.level.enforced:
            st.caption(text(language, "sandbox_promise"))
        if state.why:
            st.caption(text(language, "sandbox_why"))
            st.code(state.why, language=None, wrap_lines=True)
        if state.packages:
            listed = [f"{name} {version}" for name, version in sorted(state.packages.items())]
            st.caption(text(language, "sandbox_packages"))
            st.code("\n".join(listed), language=None)
    if state.level is Level.UNSAFE:
        st.error(text(language, "sandbox_unsafe"), icon=":material/gpp_bad:")
    elif not state.level.enforced:
        st.warning(text(language, "sandbox_weak"), icon=":material/gpp_maybe:")


def mending(error: AssistantError) -> str:
    """The one command that mends it, if there is one."""
    return str(error.fields["command"]) if isinstance(error, SandboxRefused) else ""


def is_local() -> bool:
    """Whether the page was asked for by this machine under its own name: no proxy, no tunnel."""
    host = (st.context.headers.get("Host") or "").rsplit(":", 1)[0].strip("[]")
    return _is_loopback(st.context.ip_address or "") and _is_loopback(host)


def _is_loopback(name: str) -> bool:
    if name in LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
