"""The assistant: one model, many conversations."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

from assistant.access.visitor import LOCAL, Visitor
from assistant.cellbook import cells_of, messages_of
from assistant.cells import CellRun, changed, code_steps, new_cell, uploads_note, with_runs
from assistant.coderunner import CodeRunner
from assistant.conversation import Conversation
from assistant.conversations import Conversations
from assistant.errors import EmptyQuestion, ModelNotReady, NoCode, NothingToRepeat
from assistant.exposure import Exposure, GuardedCode
from assistant.jobs import Job
from assistant.loading import ModelLoader, ModelState, Ready
from assistant.messages import CallStep, Message, Role
from assistant.offering import Offering
from assistant.preview import first_lines
from assistant.round import Model
from assistant.sandbox.level import Level
from assistant.sandbox.notebook import export_notebook, import_notebook
from assistant.settings import Mode
from assistant.toolbox import Toolbox
from assistant.toolcatalog import Examples
from assistant.toolcost import tool_costs
from assistant.toolsource import ToolInfo, Trouble
from assistant.turn import Turn
from assistant.window import split_turns
from assistant.workbench import Unusable, Usable, Workbench

OPENING = 4096  # bytes of an uploaded file that are looked at


class Assistant:
    """What pages, the API and the command line ask for answers."""

    def __init__(
        self,
        model: ModelLoader,
        tools: Toolbox | None = None,
        workbench: Workbench | None = None,
        exposure: Exposure | None = None,
    ) -> None:
        self._model = model
        self._tools = tools or Toolbox(())
        self.workbench = workbench or Workbench(model.home)
        self.exposure = exposure or Exposure()
        self._offering = Offering(self._tools, self.exposure, self.workbench.tool_folder)
        self._conversations = Conversations(self.workbench.discard)

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
        return self._offering.tools(conversation)

    def forbids(self, tool: ToolInfo) -> bool:
        """Whether it is off for everybody, because the app is public."""
        return self._offering.forbids(tool)

    def troubles(self) -> Sequence[Trouble]:
        return self._tools.troubles()

    def examples(self) -> Mapping[str, Examples]:
        return self._tools.examples()

    def tool_costs(self, conversation: Conversation) -> Mapping[str, int]:
        """How many tokens of the prompt each offered tool takes."""
        state = self._model.state
        if not isinstance(state, Ready):
            return {}
        offered = self._offering.offered(conversation)
        return tool_costs(state.format, [tool.spec for tool in offered])

    # Conversations

    def new_conversation(self, mode: Mode = Mode.CHAT, owner: str = "") -> Conversation:
        """`owner` is the name of the visitor whose it is."""
        return self._conversations.new(mode, owner)

    def conversation(self, conversation_id: str, visitor: Visitor = LOCAL) -> Conversation:
        """The door for an id from outside. All else here takes ids that have come through it."""
        return self._conversations.of(visitor, conversation_id)

    # Answers

    def ask(self, conversation_id: str, question: str) -> Job:
        """Starts an answer. If it is refused, the conversation stays as it was."""
        conversation = self._conversations.get(conversation_id)
        # A terminal may hand over halves of surrogate pairs, which no tokenizer takes.
        question = question.encode("utf-8", "replace").decode("utf-8").strip()
        if not question:
            raise EmptyQuestion()
        with conversation.lock:
            read = question + uploads_note(conversation.uploaded)
            names = tuple(conversation.uploaded)
            said = Message(Role.USER, read, typed=question, uploaded=names)
            job = self._answer(conversation, (*conversation.messages, said))
            conversation.uploaded = {}
            return job

    def regenerate(self, conversation_id: str) -> Job:
        """Writes the last answer anew, from its question on."""
        conversation = self._conversations.get(conversation_id)
        with conversation.lock:
            self._last_answer(conversation)
            _, turns = split_turns(conversation.messages)
            kept = conversation.messages[: 1 - len(turns[-1])]
            return self._answer(conversation, kept)

    def continue_(self, conversation_id: str) -> Job:
        """Carries a cut answer on from the ids it ended with; one without any starts anew."""
        conversation = self._conversations.get(conversation_id)
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
            self._check_workbench(conversation.owner)
        prompt = kept if cut is None else (*kept, cut)
        taught = state.format.code_prompt if settings.code_on else ""
        system_prompt = "\n".join(filter(None, (taught, settings.system_prompt)))
        if system_prompt:
            prompt = (Message(Role.SYSTEM, system_prompt), *prompt)
        model = Model(state.engine, state.format, settings.sampling(state.format.stop_ids))
        code = self._runner(conversation) if settings.code_on else None
        means = self._offering.means(conversation, code)
        job = Job(Turn(model, prompt, means), conversation.commit)
        conversation.begin(kept, job)
        job.start()
        return job

    # Code

    def upload(self, conversation_id: str, name: str, data: bytes | BinaryIO) -> str:
        """Stores a file where the code finds it; the model learns of it with the next question."""
        conversation = self._conversations.get(conversation_id)
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
        self._conversations.get(conversation_id).check_idle()
        self.workbench.session(conversation_id).restart()

    def export_notebook(self, conversation_id: str) -> bytes:
        return export_notebook(cells_of(self._conversations.get(conversation_id).messages))

    def import_notebook(self, conversation_id: str, data: bytes) -> None:
        """Appends a notebook's cells to the conversation, with the outputs that they have in it."""
        conversation = self._conversations.get(conversation_id)
        messages = messages_of(import_notebook(data))
        with conversation.lock:
            conversation.check_idle()
            conversation.append(messages)

    def _check_workbench(self, owner: str) -> None:
        """Refuses where this owner's code cannot be run, as far as is known."""
        state = self.workbench.state
        if isinstance(state, Unusable):
            raise state.error
        if isinstance(state, Usable):
            self.exposure.check_level(state.level, owner)

    def _check_run(self, owner: str) -> None:
        """The same before each run, when it has to be known."""
        if self.exposure.forbids_level(Level.NONE, owner):
            self.workbench.prepare()
            self.workbench.wait()
        self._check_workbench(owner)

    def _runner(self, conversation: Conversation) -> CodeRunner:
        check = partial(self._check_run, conversation.owner)
        return GuardedCode(self.workbench.session(conversation.id), check)

    def _run_cells(
        self,
        conversation_id: str,
        choose: Callable[[list[CallStep]], list[CallStep]],
        prepare: Callable[[], None] = lambda: None,
    ) -> Job:
        conversation = self._conversations.get(conversation_id)
        self._check_workbench(conversation.owner)
        with conversation.lock:
            conversation.check_idle()
            kept = conversation.messages
            steps = choose(code_steps(kept))
            if not steps:
                raise NoCode()
            work = CellRun(self._runner(conversation), steps, prepare)

            def commit(job: Job, _: tuple[Message, ...]) -> None:
                conversation.revise(job, with_runs(kept, work.done))

            job = Job(work, commit)
            conversation.begin(kept, job)
            job.start()
            return job
