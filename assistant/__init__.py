"""The doorway: conversations with a model. Pages and the launcher import nothing behind it.

Inside, a file imports only from those before it:
errors, settings, messages, events, texts, markdown, statistics, literals, calls, parse, toolspec,
outputs, toolsource, coderunner, formats, window, turn, jobs, conversation, loading, assistant,
narration, state, server, terminal, upload, cli.
"""

from assistant.assistant import Assistant
from assistant.conversation import Conversation
from assistant.errors import AssistantError, UnknownConversation
from assistant.events import Progress
from assistant.jobs import Job, Snapshot
from assistant.loading import (
    Compiling,
    Failed,
    Fetching,
    Loading,
    ModelLoader,
    ModelState,
    Ready,
    Starting,
)
from assistant.markdown import literal, showable
from assistant.messages import Ended, Message, Role
from assistant.narration import Stage, cut_reason, dropped, figures, prefill, stage
from assistant.server import MIDDLEWARE, ROUTES
from assistant.settings import ChatSettings
from assistant.state import install, instance
from assistant.texts import Language, say, text
from engine import EngineError, FinishReason

__all__ = [
    "MIDDLEWARE",
    "ROUTES",
    "Assistant",
    "AssistantError",
    "ChatSettings",
    "Compiling",
    "Conversation",
    "Ended",
    "EngineError",
    "Failed",
    "Fetching",
    "FinishReason",
    "Job",
    "Language",
    "Loading",
    "Message",
    "ModelLoader",
    "ModelState",
    "Progress",
    "Ready",
    "Role",
    "Snapshot",
    "Stage",
    "Starting",
    "UnknownConversation",
    "cut_reason",
    "dropped",
    "figures",
    "install",
    "instance",
    "literal",
    "prefill",
    "say",
    "showable",
    "stage",
    "text",
]
