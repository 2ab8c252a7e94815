"""The script around every page: title, language and navigation."""

import streamlit as st

from assistant import text
from pages.parts import session

language = session.language()
st.set_page_config(page_title=text(language, "title"), page_icon=":material/forum:")

chat = st.Page("chat.py", title=text(language, "chat"), icon=":material/forum:", default=True)
st.navigation([chat], position="top").run()
