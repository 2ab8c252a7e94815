"""The script behind `gated_app.py`."""

import streamlit as st

from assistant import ACCESS_HEADER, VISITOR_HEADER

st.session_state["runs"] = st.session_state.get("runs", 0) + 1
headers = st.context.headers
st.markdown(f"{headers.get(VISITOR_HEADER)} is {headers.get(ACCESS_HEADER)}")
st.text(f"run {st.session_state['runs']}")
st.download_button("Secret", headers.get(VISITOR_HEADER, "") + "'s secret", file_name="secret.txt")
st.file_uploader("File", key="file")
