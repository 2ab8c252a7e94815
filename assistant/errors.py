"""Everything the assistant can refuse, as one tree.

AssistantError
├── UnknownFormat         the model's tokenizer has the role tokens of no format we know
├── CallsNotTaught        tools or code asked of a format that has none
├── ModelNotFound         no file at the path that was given
├── ModelNotReady         asked before a model is loaded
├── UnknownConversation   no conversation with this id (they live in memory)
├── AnswerRunning         the conversation is still being answered
├── NothingToRepeat       no answer to regenerate or to continue
├── EmptyQuestion         nothing but blanks was asked
├── NoCode                no code to be run
├── NothingAsked          an answer to a question that no turn waits with
├── BadArguments          a person's arguments that the tool cannot take
├── NoToken               an upload without anybody's token
├── TokenUnknown          the Hub does not know the token
├── TokenCannotWrite      the token only reads, or the repository is somebody else's
├── UploadFailed          a file did not get to the Hub
├── BadDocument           settings or definitions that a person wrote are not as they should be
├── SandboxFailed         a session could not be confined at this level
├── SandboxRefused        no level holds that the operator allows
├── EnvironmentFailed     the Python that code runs in could not be made
├── BadFileName           a name that no file of a session can have
├── NoSuchFile            no such file in a session's folder, or not a plain one
├── FileTooLarge          more than a file of a session may have
├── FolderFull            a session's folder has no room for it
├── BadNotebook           not a notebook that can be read
└── InternalError         a mistake of ours; the log has the traceback

As in `engine.errors`, a message is a template and its fields, so that `texts` can say it in
Chinese too.
"""

from typing import ClassVar


class AssistantError(Exception):
    """Base of all assistant errors: `template` filled with `fields` is the English message."""

    template: ClassVar[str] = "{message}"

    def __init__(self, **fields: object) -> None:
        self.fields = fields
        super().__init__(self.template.format(**fields))


class UnknownFormat(AssistantError):
    template = (
        "{path} has no role tokens that we know: {missing}. Supported chat formats: {supported}."
    )


class CallsNotTaught(AssistantError):
    template = (
        "{format} models were never taught to call tools or to have code run; they can only chat. "
        "Open a ChatGLM3, GLM-4 or Qwen model for that."
    )


class ModelNotFound(AssistantError):
    template = "There is no model file at {path}. Give the path of a .gguf or .bin file."


class ModelNotReady(AssistantError):
    template = "The model is not loaded yet. Wait until it is and ask again."


class UnknownConversation(AssistantError):
    template = (
        "The conversation at this address is gone: the server has been restarted and keeps them "
        "in memory only. This is a new one."
    )


class AnswerRunning(AssistantError):
    template = "The answer is still being written. Stop it first, or wait."


class NothingToRepeat(AssistantError):
    template = "There is no answer in this conversation to regenerate or to continue."


class EmptyQuestion(AssistantError):
    template = "The question is empty. Type something first."


class NoCode(AssistantError):
    template = "There is no code to run."


class NothingAsked(AssistantError):
    template = "This question has been answered already, or its answer was stopped."


class BadArguments(AssistantError):
    template = "The tool cannot take these arguments: {reason}."


class NoToken(AssistantError):
    template = (
        "Uploading needs a token with write access. Make one at {hub}/settings/tokens, then set "
        "HF_TOKEN or run `hf auth login`."
    )


class TokenUnknown(AssistantError):
    template = (
        "{hub} does not know this token: it is mistyped or has expired. Make one with write access "
        "at {hub}/settings/tokens, then set HF_TOKEN or run `hf auth login`."
    )


class TokenCannotWrite(AssistantError):
    template = (
        "The token may not write to {repo}: it is read-only, or the name is somebody else's. Make "
        "one with write access at {hub}/settings/tokens, or choose a repository of yours."
    )


class UploadFailed(AssistantError):
    template = "The file did not get to {repo}: {reason}. Run the same command again."


class BadDocument(AssistantError):
    template = "{name}, line {line}: {where}: found {found}, expected {expected}."


class SandboxFailed(AssistantError):
    template = "A sandbox of level {level} could not be made: {reason}."


class SandboxRefused(AssistantError):
    template = (
        "Code is not run here, because nothing confines it well enough ({tried}). To mend it: "
        "{command}"
    )


class EnvironmentFailed(AssistantError):
    template = (
        "The Python that code runs in could not be set up: {what}: {reason}. "
        "What is there is kept; try again."
    )


class BadFileName(AssistantError):
    template = "{name!r} cannot be a file's name here. Rename the file and upload it again."


class NoSuchFile(AssistantError):
    template = "There is no plain file {name!r} in this conversation's folder."


class FileTooLarge(AssistantError):
    template = "{name} has {size}; a file here may have {limit}."


class FolderFull(AssistantError):
    template = (
        "{name} does not fit: this conversation's folder may hold {limit} in {files} files. "
        "Delete some of them first."
    )


class BadNotebook(AssistantError):
    template = "This is not a notebook that can be read: {reason}."


class InternalError(AssistantError):
    template = "Something went wrong inside ({kind}). The server's log says more."
