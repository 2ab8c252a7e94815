"""A page of the app in one browser tab, without a browser: what its tests all do with it."""

import re
from pathlib import Path

from streamlit.testing.v1 import AppTest

import assistant
from assistant import Assistant, Conversation

MAIN = Path(__file__).parents[1] / "pages" / "main.py"


class Tab:
    """`page` is the file of the page, below `pages/`."""

    def __init__(self, behind: Assistant, page: str) -> None:
        self.behind = behind
        assistant.install(behind)
        self.app = AppTest.from_file(str(MAIN), default_timeout=30)
        self.run()
        self.app.switch_page(page)
        self.run()

    def run(self) -> None:
        self.app.run()
        assert not self.app.exception

    @property
    def conversation(self) -> Conversation:
        found = self.app.query_params["c"]
        return self.behind.conversation(found if isinstance(found, str) else found[0])

    def ask(self, question: str = "Hi") -> None:
        self.app.chat_input[0].set_value(question)
        self.run()
        self.settle()

    def settle(self) -> None:
        """Waits for the answer and looks again."""
        job = self.conversation.job
        if job is not None:
            job.wait()
        self.run()

    def click(self, label: str) -> None:
        [button] = [each for each in self.app.button if each.label == label]
        button.click()
        self.run()
        self.settle()

    def written(self) -> str:
        """All text outside of labels, as it reads."""
        elements = [*self.app.markdown, *self.app.caption, *self.app.text, *self.app.code]
        plain = "\n".join(str(element.value) for element in elements)
        return re.sub(r"\\(.)", r"\1", plain)
