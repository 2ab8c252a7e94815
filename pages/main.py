"""The script around every page: who looks, title, language, navigation."""

from pathlib import Path

import streamlit as st

from assistant import text
from pages.parts import language, public, visitor, words

# A file of ours: a named icon would be fetched from somebody else's server.
ICON = Path(__file__).parent / "icon.svg"

visitor.checked()
chosen = language.choose()
st.set_page_config(page_title=text(chosen, "title"), page_icon=ICON)
words.draw(chosen)
visitor.draw(chosen)

chat = st.Page("chat.py", title=text(chosen, "chat"), icon=":material/forum:", default=True)
tools = st.Page("tools.py", title=text(chosen, "tools"), icon=":material/handyman:")
interpreter = st.Page(
    "interpreter.py", title=text(chosen, "interpreter"), icon=":material/terminal:"
)
page = st.navigation([chat, tools, interpreter], position="top")
public.draw(chosen)
page.run()
