"""Everything the engine can refuse, as one tree.

EngineError
├── BadModelFile          the file is not what it claims to be
├── UnsupportedModel      a sound file of a kind we do not run
├── NotEnoughMemory       the model does not fit what the machine grants
├── PromptTooLong         the prompt leaves no room in the context
├── BadLogits             the model computed something that is not a number
├── NothingAllowed        a request's constraint forbids every token
├── ConstraintFailed      a request's constraint raised
├── BadSetting            a sampling or engine option out of its range
├── DownloadFailed        a model could not be fetched
├── CacheNotWritable      a folder we must write to refuses
├── DiskFull              no room for a file we are writing
└── EngineClosed          a request to an engine that has been closed

Each error is a template and its fields, so that `assistant` can say the same in Chinese.
"""

from typing import ClassVar


class EngineError(Exception):
    """Base of all engine errors: `template` filled with `fields` is the English message."""

    template: ClassVar[str] = "{message}"

    def __init__(self, **fields: object) -> None:
        self.fields = fields
        super().__init__(self.template.format(**fields))


class BadModelFile(EngineError):
    template = "{path}: {where}: found {found}, expected {expected}."


class UnsupportedModel(EngineError):
    template = "{path}: {what} '{found}' is not supported; supported: {supported}."


class NotEnoughMemory(EngineError):
    template = (
        "{path} needs {need} of memory and this machine grants {have}. Smaller choices: {smaller}."
    )


class PromptTooLong(EngineError):
    template = (
        "The prompt has {prompt_tokens} tokens and the context holds {context_length}, "
        "of which at least one must stay free for the answer. Shorten the prompt or raise "
        "the context length."
    )


class BadLogits(EngineError):
    template = "The model produced {count} values that are not numbers; the file may be damaged."


class NothingAllowed(EngineError):
    template = (
        "After {count} tokens the rules for this answer allow no token at all. Ask again, or "
        "switch the constraint off."
    )


class ConstraintFailed(EngineError):
    template = (
        "The rules for this answer failed ({kind}); the server's log says more. Ask again, or "
        "switch the constraint off."
    )


class BadSetting(EngineError):
    template = "{name} is {value!r}; it must be {rule}."


class DownloadFailed(EngineError):
    template = "Could not fetch {what}: {reason}. Looked at: {tried}. {remedy}"


class CacheNotWritable(EngineError):
    template = (
        "Cannot write to {path}: {reason}. Make it writable, or set ASSISTANT_HOME to a folder "
        "that is."
    )


class DiskFull(EngineError):
    template = "No room for {path}: {need} needed, {have} free. Free some space and start again."


class EngineClosed(EngineError):
    template = "The engine has been closed; load the model again."
