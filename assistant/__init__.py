"""The doorway: conversations with a model. Pages and the launcher import nothing behind it.

Inside, a file imports only from those before it:
errors, literals, calls, toolspec, ansi, outputs, toolsource, pictures, coderunner, marked,
foreign_schema, approval, toolchoice, settings, messages, events, texts, faults, access,
markdown, statistics, parse, callform, formats, grammar_reading, grammar_numbers, grammar_values,
grammar_schema, grammar_vocabulary, grammar_scan, grammar_call, grammar_opening, grammar, window,
round, codestep, execute, turn, items, jobs, cells, conversation, conversations, loading, manual,
toolcost, fields, toolprocess, toolresults, toolworker, toolcatalog, toolfolder, toolbox,
mcp_settings, mcp_transport, mcp_content, mcp_offer, mcp_link, mcp_client, sandbox, exposure,
offering, cellbook, preview, workbench, assistant, narration, state, server, terminal, upload,
toolcommands, mcp_server, checkup, doctor, tunnel, cli.
"""

from assistant.access.sharing import Allowance, Sharing
from assistant.access.visitor import ACCESS_HEADER, LOCAL, VISITOR_HEADER, Access, Visitor
from assistant.ansi import Span, spans
from assistant.approval import (
    Approved,
    Declined,
    Permission,
    Question,
    Typed,
    Wanted,
    default_permission,
)
from assistant.assistant import Assistant
from assistant.calls import CallError, CodeCall, ToolCall
from assistant.coderunner import CodeResult
from assistant.conversation import Conversation
from assistant.errors import (
    AssistantError,
    SandboxRefused,
    UnknownConversation,
)
from assistant.events import Progress
from assistant.exposure import Exposure
from assistant.faults import fault_line, note_line
from assistant.fields import Field, FieldKind, form_fields, read_fields
from assistant.items import (
    CallItem,
    DraftItem,
    Item,
    TextItem,
    items_of_messages,
    run_numbers,
)
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
from assistant.manual import parse_definitions
from assistant.markdown import literal, name_label, showable
from assistant.messages import CallState, CallStep, Ended, Message, Role
from assistant.narration import (
    Stage,
    call_line,
    cut_reason,
    dropped,
    ended_session,
    figures,
    level_words,
    prefill,
    rounds_note,
    spoken,
    stage,
    trouble_line,
)
from assistant.outputs import (
    ChartOutput,
    ErrorOutput,
    FileOutput,
    ImageOutput,
    JsonOutput,
    NoteOutput,
    Output,
    TableOutput,
    TextOutput,
    without_colours,
)
from assistant.preview import preview
from assistant.sandbox.files import FileEntry
from assistant.sandbox.level import Level
from assistant.sandbox.notebook import MAX_NOTEBOOK, Cell, import_notebook
from assistant.sandbox.session import Session, SessionState, SessionStatus
from assistant.sandbox.sessions import SandboxReport, Sessions
from assistant.sandbox.settings import SandboxSettings
from assistant.server import MIDDLEWARE, PAGE_WORDS, ROUTES, leave_if_open, middleware
from assistant.settings import ChatSettings, Mode
from assistant.state import install, instance
from assistant.texts import (
    Language,
    file_size,
    say,
    text,
)
from assistant.toolcatalog import Examples, Trial
from assistant.toolchoice import ChoiceMode, ToolChoice
from assistant.toolsource import Effects, ToolInfo, Trouble
from assistant.window import split_turns
from assistant.workbench import BenchState, Preparing, Unprepared, Unusable, Usable, Workbench
from engine import EngineError, FinishReason

__all__ = [
    "ACCESS_HEADER",
    "LOCAL",
    "MAX_NOTEBOOK",
    "MIDDLEWARE",
    "PAGE_WORDS",
    "ROUTES",
    "VISITOR_HEADER",
    "Access",
    "Allowance",
    "Approved",
    "Assistant",
    "AssistantError",
    "BenchState",
    "CallError",
    "CallItem",
    "CallState",
    "CallStep",
    "Cell",
    "ChartOutput",
    "ChatSettings",
    "ChoiceMode",
    "CodeCall",
    "CodeResult",
    "Compiling",
    "Conversation",
    "Declined",
    "DraftItem",
    "Effects",
    "Ended",
    "EngineError",
    "ErrorOutput",
    "Examples",
    "Exposure",
    "Failed",
    "Fetching",
    "Field",
    "FieldKind",
    "FileEntry",
    "FileOutput",
    "FinishReason",
    "ImageOutput",
    "Item",
    "Job",
    "JsonOutput",
    "Language",
    "Level",
    "Loading",
    "Message",
    "Mode",
    "ModelLoader",
    "ModelState",
    "NoteOutput",
    "Output",
    "Permission",
    "Preparing",
    "Progress",
    "Question",
    "Ready",
    "Role",
    "SandboxRefused",
    "SandboxReport",
    "SandboxSettings",
    "Session",
    "SessionState",
    "SessionStatus",
    "Sessions",
    "Sharing",
    "Snapshot",
    "Span",
    "Stage",
    "Starting",
    "TableOutput",
    "TextItem",
    "TextOutput",
    "ToolCall",
    "ToolChoice",
    "ToolInfo",
    "Trial",
    "Trouble",
    "Typed",
    "UnknownConversation",
    "Unprepared",
    "Unusable",
    "Usable",
    "Visitor",
    "Wanted",
    "Workbench",
    "call_line",
    "cut_reason",
    "default_permission",
    "dropped",
    "ended_session",
    "fault_line",
    "figures",
    "file_size",
    "form_fields",
    "import_notebook",
    "install",
    "instance",
    "items_of_messages",
    "leave_if_open",
    "level_words",
    "literal",
    "middleware",
    "name_label",
    "note_line",
    "parse_definitions",
    "prefill",
    "preview",
    "read_fields",
    "rounds_note",
    "run_numbers",
    "say",
    "showable",
    "spans",
    "split_turns",
    "spoken",
    "stage",
    "text",
    "trouble_line",
    "without_colours",
]
