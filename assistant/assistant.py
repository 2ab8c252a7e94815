"""The assistant: one model, many conversations."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from assistant.approval import Permission, default_permission
from assistant.cellbook import cells_of, messages_of
from assistant.cells import CellRun, changed, code_steps, new_cell, uploads_note, with_runs
from assistant.conversation import Conversation
from assistant.errors import (
    EmptyQuestion,
    ModelNotReady,
    NoCode,
    NothingToRepeat,
    UnknownConversation,
)
from assistant.execute import Means
from assistant.jobs import Job
from assistant.loading import ModelLoader, ModelState, Ready
from assistant.manual import ManualTools
from assistant.messages import CallStep, Message, Role
from assistant.preview import first_lines
from assistant.round import Model
from assistant.sandbox.notebook import export_notebook, import_notebook
from assistant.settings import Mode
from assistant.toolbox import Toolbox
from assistant.toolcatalog import Examples
from assistant.toolchoice import ChoiceMode, ToolChoice
from assistant.toolcost import tool_costs
from assistant.toolsource import ToolInfo, Trouble
from assistant.turn import Turn
from assistant.window import split_turns
from assistant.workbench import Unusable, Workbench

OPENING = 4096  # bytes of an uploaded file that are looked at
MAX_CONVERSATIONS = 1000  # every opened page makes one; the oldest idle ones are forgotten


class Assistant:
    """What pages, the API and the command line ask for answers."""

    def __init__(
        self,
        model: ModelLoader,
        tools: Toolbox | None = None,
        workbench: Workbench | None = None,
    ) -> None:
        self._model = model
        self._tools = tools or Toolbox(())
        self.workbench = workbench or Workbench(model.home)
        self._conversations: OrderedDict[str, Conversation] = OrderedDict()
        self._lock = threading.Lock()

    # The model

    @property
    def model_state(self) -> ModelState:
        return self._model.state

    def open_model(self, path: Path | None) -> None:
        self._model.open(path)

    def wait_model(self, seen: ModelState, timeout: float | None = None) -> ModelState:
        return self._model.wait_change(seen, timeout)

    def close(self) -> None:
        self._model.close()
        self._tools.close()
        self.workbench.close()

    # Tools

    @property
    def tools_revision(self) -> int:
        """Another number whenever what `tools`, `troubles` or `examples` give is another."""
        return self._tools.revision

    def tools(self, conversation: Conversation) -> Sequence[ToolInfo]:
        """All that could be offered: the person's own definitions, then the registered ones."""
        own = ManualTools(conversation.settings.manual_tools).tools()
        names = {tool.name for tool in own}
        return [*own, *(tool for tool in self._tools.tools() if tool.name not in names)]

    def troubles(self) -> Sequence[Trouble]:
        return self._tools.troubles()

    def examples(self) -> Mapping[str, Examples]:
        return self._tools.examples()

    def tool_costs(self, conversation: Conversation) -> Mapping[str, int]:
        """How many tokens of the prompt each offered tool takes."""
        state = self._model.state
        if not isinstance(state, Ready):
            return {}
        return tool_costs(state.format, [tool.spec for tool in self._offered(conversation)])

    def _choice(self, conversation: Conversation) -> ToolChoice:
        """A named tool may be gone, or off, since it was chosen."""
        choice = conversation.settings.tool_choice
        names = {tool.name for tool in self._offered(conversation)}
        return choice if not choice.name or choice.name in names else ToolChoice()

    def _offered(self, conversation: Conversation) -> tuple[ToolInfo, ...]:
        off = conversation.settings.tools_off
        return tuple(tool for tool in self.tools(conversation) if tool.name not in off)

    def _means(self, conversation: Conversation) -> Means:
        """What the model may use in the turn that begins."""
        settings = conversation.settings
        code = self.workbench.session(conversation.id) if settings.code_on else None
        choice = self._choice(conversation)
        # Who wants no tools still wants code to be run.
        if not settings.tools_on or (code and choice.mode is ChoiceMode.NONE):
            return Means(code=code)

        def permission(tool: ToolInfo) -> Permission:
            # Asked anew for every call: a person may change it while the turn runs.
            chosen = conversation.settings.permissions.get(tool.name)
            return chosen or default_permission(tool.effects)

        return Means(
            tools=self._offered(conversation),
            source=self._tools,
            code=code,
            manual=frozenset(spec.name for spec in settings.manual_tools),
            folder=self._model.home() / "conversations" / conversation.id,
            permission=permission,
            choice=choice,
            constrain=settings.constrain_calls,
        )

    # Conversations

    def new_conversation(self, mode: Mode = Mode.CHAT) -> Conversation:
        conversation = Conversation(mode)
        with self._lock:
            self._conversations[conversation.id] = conversation
            self._forget_oldest()
        return conversation

    def conversation(self, conversation_id: str) -> Conversation:
        with self._lock:
            if conversation_id not in self._conversations:
                raise UnknownConversation(id=conversation_id)
            self._conversations.move_to_end(conversation_id)
            return self._conversations[conversation_id]

    # Answers

    def ask(self, conversation_id: str, question: str) -> Job:
        """Starts an answer. If it is refused, the conversation stays as it was."""
        conversation = self.conversation(conversation_id)
        # A terminal may hand over halves of surrogate pairs, which no tokenizer takes.
        question = question.encode("utf-8", "replace").decode("utf-8").strip()
        if not question:
            raise EmptyQuestion()
        with conversation.lock:
            said = Message(Role.USER, question + uploads_note(conversation.uploaded))
            job = self._answer(conversation, (*conversation.messages, said))
            conversation.uploaded = {}
            return job

    def regenerate(self, conversation_id: str) -> Job:
        """Writes the last answer anew, from its question on."""
        conversation = self.conversation(conversation_id)
        with conversation.lock:
            self._last_answer(conversation)
            _, turns = split_turns(conversation.messages)
            kept = conversation.messages[: 1 - len(turns[-1])]
            return self._answer(conversation, kept)

    def continue_(self, conversation_id: str) -> Job:
        """Carries a cut answer on from the ids it ended with; one without any starts anew."""
        conversation = self.conversation(conversation_id)
        with conversation.lock:
            cut, kept = self._last_answer(conversation)
            if cut.ended is None or not cut.ended.was_cut:
                raise NothingToRepeat()
            return self._answer(conversation, kept, cut if cut.ids else None)

    def _last_answer(self, conversation: Conversation) -> tuple[Message, tuple[Message, ...]]:
        conversation.check_idle()
        messages = conversation.messages
        if not messages or messages[-1].role is not Role.ASSISTANT or not messages[-1].ended:
            raise NothingToRepeat()
        return messages[-1], messages[:-1]

    def _answer(
        self, conversation: Conversation, kept: tuple[Message, ...], cut: Message | None = None
    ) -> Job:
        conversation.check_idle()
        state = self._model.state
        if not isinstance(state, Ready):
            raise ModelNotReady()
        settings = conversation.settings
        if settings.code_on:
            self._check_workbench()
        prompt = kept if cut is None else (*kept, cut)
        taught = state.format.code_prompt if settings.code_on else ""
        system_prompt = "\n".join(filter(None, (taught, settings.system_prompt)))
        if system_prompt:
            prompt = (Message(Role.SYSTEM, system_prompt), *prompt)
        model = Model(state.engine, state.format, settings.sampling(state.format.stop_ids))
        job = Job(Turn(model, prompt, self._means(conversation)), conversation.commit)
        conversation.begin(kept, job)
        job.start()
        return job

    # Code

    def upload(self, conversation_id: str, name: str, data: bytes | BinaryIO) -> str:
        """Stores a file where the code finds it; the model learns of it with the next question."""
        conversation = self.conversation(conversation_id)
        stored = self.workbench.session(conversation_id).upload(name, data)
        if not isinstance(data, bytes):
            data.seek(0)
            data = data.read(OPENING)
        with conversation.lock:
            conversation.uploaded[stored] = first_lines(stored, data[:OPENING])
        return stored

    def run_cell(self, conversation_id: str, code: str) -> Job:
        """Runs a cell of the person's, which joins the conversation."""
        if not code.strip():
            raise NoCode()
        return self._run_cells(conversation_id, lambda _: [new_cell(code)])

    def run_again(self, conversation_id: str, step_id: str, code: str) -> Job:
        """Runs a cell that was run before, perhaps with other code, and puts it in its place."""
        if not code.strip():
            raise NoCode()

        def chosen(steps: list[CallStep]) -> list[CallStep]:
            return [changed(step, code) for step in steps if step.id == step_id]

        return self._run_cells(conversation_id, chosen)

    def run_all(self, conversation_id: str) -> Job:
        """Starts the Python afresh and runs every cell, up to the first that fails."""
        restart = self.workbench.session(conversation_id).restart
        return self._run_cells(conversation_id, lambda steps: steps, restart)

    def restart(self, conversation_id: str) -> None:
        """Ends a conversation's Python; its files and its cells stay."""
        self.conversation(conversation_id).check_idle()
        self.workbench.session(conversation_id).restart()

    def export_notebook(self, conversation_id: str) -> bytes:
        return export_notebook(cells_of(self.conversation(conversation_id).messages))

    def import_notebook(self, conversation_id: str, data: bytes) -> None:
        """Appends a notebook's cells to the conversation, with the outputs that they have in it."""
        conversation = self.conversation(conversation_id)
        messages = messages_of(import_notebook(data))
        with conversation.lock:
            conversation.check_idle()
            conversation.append(messages)

    def _check_workbench(self) -> None:
        """Refuses where no code can be run."""
        state = self.workbench.state
        if isinstance(state, Unusable):
            raise state.error

    def _run_cells(
        self,
        conversation_id: str,
        choose: Callable[[list[CallStep]], list[CallStep]],
        prepare: Callable[[], None] = lambda: None,
    ) -> Job:
        conversation = self.conversation(conversation_id)
        self._check_workbench()
        with conversation.lock:
            conversation.check_idle()
            kept = conversation.messages
            steps = choose(code_steps(kept))
            if not steps:
                raise NoCode()
            work = CellRun(self.workbench.session(conversation_id), steps, prepare)

            def commit(job: Job, _: tuple[Message, ...]) -> None:
                conversation.revise(job, with_runs(kept, work.done))

            job = Job(work, commit)
            conversation.begin(kept, job)
            job.start()
            return job

    def _forget_oldest(self) -> None:
        surplus = len(self._conversations) - MAX_CONVERSATIONS
        idle = [each.id for each in self._conversations.values() if each.job is None]
        for oldest in idle[: max(surplus, 0)]:
            del self._conversations[oldest]
            self.workbench.discard(oldest)
