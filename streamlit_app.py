"""The launcher: pages and HTTP routes in one process, on one engine.

`streamlit run streamlit_app.py`, `uvicorn streamlit_app:app` and `python streamlit_app.py` all
serve the same, and none of them an address that others reach before somebody can sign in.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import streamlit as st

import assistant


@asynccontextmanager
async def lifespan(app: st.App) -> AsyncIterator[None]:
    """The first call for the assistant starts the model's loading, in a thread of its own."""
    running = assistant.instance()
    yield
    running.close()


# Streamlit looks for this very assignment in the source (`name = st.App(...)`).
app = st.App(
    Path(__file__).parent / "pages" / "main.py",
    lifespan=lifespan,
    routes=assistant.ROUTES,
    middleware=assistant.middleware(lambda: int(st.get_option("server.maxUploadSize")) * 2**20),
)
# Only now: options read before the app exists would be those of another folder.
assistant.leave_if_open(st.get_option("server.address"))

if __name__ == "__main__":
    app.run()
