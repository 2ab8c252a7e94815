"""What a conversation is offered of the tools there are, and on which terms."""

from collections.abc import Callable, Sequence
from pathlib import Path

from assistant.approval import Permission, default_permission
from assistant.coderunner import CodeRunner
from assistant.conversation import Conversation
from assistant.execute import Means
from assistant.exposure import Exposure
from assistant.manual import ManualTools
from assistant.toolbox import Toolbox
from assistant.toolchoice import ChoiceMode, ToolChoice
from assistant.toolsource import ToolInfo


class Offering:
    """`folder` says where a conversation's tools may leave files."""

    def __init__(self, toolbox: Toolbox, exposure: Exposure, folder: Callable[[str], Path]) -> None:
        self._toolbox = toolbox
        self._exposure = exposure
        self._folder = folder

    def tools(self, conversation: Conversation) -> Sequence[ToolInfo]:
        """All that could be offered: the person's own definitions, then the registered ones."""
        own = ManualTools(conversation.settings.manual_tools).tools()
        names = {tool.name for tool in own}
        return [*own, *(tool for tool in self._toolbox.tools() if tool.name not in names)]

    def forbids(self, tool: ToolInfo) -> bool:
        """Whether it is off for everybody, because the app is public."""
        return self._exposure.forbids_tool(tool.effects)

    def offered(self, conversation: Conversation) -> tuple[ToolInfo, ...]:
        off = conversation.settings.tools_off
        tools = [tool for tool in self.tools(conversation) if tool.name not in off]
        return tuple(tool for tool in tools if not self.forbids(tool))

    def means(self, conversation: Conversation, code: CodeRunner | None) -> Means:
        """What the model may use in the turn that begins."""
        settings = conversation.settings
        choice = self._choice(conversation)
        # Who wants no tools still wants code to be run.
        if not settings.tools_on or (code and choice.mode is ChoiceMode.NONE):
            return Means(code=code)

        def permission(tool: ToolInfo) -> Permission:
            # Asked anew for every call: a person may change it while the turn runs.
            chosen = conversation.settings.permissions.get(tool.name)
            return chosen or default_permission(tool.effects)

        return Means(
            tools=self.offered(conversation),
            source=self._toolbox,
            code=code,
            manual=frozenset(spec.name for spec in settings.manual_tools),
            folder=self._folder(conversation.id),
            permission=permission,
            forbidden=self.forbids,
            choice=choice,
            constrain=settings.constrain_calls,
        )

    def _choice(self, conversation: Conversation) -> ToolChoice:
        """A named tool may be gone, or off, since it was chosen."""
        choice = conversation.settings.tool_choice
        names = {tool.name for tool in self.offered(conversation)}
        return choice if not choice.name or choice.name in names else ToolChoice()
