"""A page that says who it is shown to, behind the real gate on the real Streamlit."""

from pathlib import Path

import streamlit as st

import assistant

app = st.App(
    Path(__file__).parent / "gated_page.py",
    routes=assistant.ROUTES,
    middleware=assistant.MIDDLEWARE,
)
