"""What a browser on this machine sends with every page, which Streamlit's AppTest does not."""

import pytest
from streamlit.runtime.context import ContextProxy


@pytest.fixture(autouse=True)
def _connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ContextProxy, "headers", {"Host": "localhost"})
