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
├── ToolNotImported       a tool's file that cannot be imported
├── ToolFileWrong         a tool's file that says it is not as it should be, or says nonsense
├── ToolNameReserved      a tool named like a word of Python's
├── ToolNameTaken         two files with a tool of one name
├── ToolOfferedTwice      two sources with a tool of one name
├── SettingsUnreadable    a file of settings that cannot be opened
├── ServerLost            an MCP server that is not connected
├── ServerToolRefused     a server's tool that cannot be offered
├── ServerToolsTooMany    more tools of a server than are offered
├── ServerToolMissing     settings name a tool that the server has not
├── ServerToolTaken       two servers with a tool of one name
├── NoToken               an upload without anybody's token
├── TokenUnknown          the Hub does not know the token
├── TokenCannotWrite      the token only reads, or the repository is somebody else's
├── UploadFailed          a file did not get to the Hub
├── BadDocument           settings or definitions that a person wrote are not as they should be
├── SandboxFailed         a session could not be confined at this level
├── SandboxRefused        no level holds that the operator allows
├── CodeNotPublic         the sandbox is too weak for the code of strangers
├── EnvironmentFailed     the Python that code runs in could not be made
├── BadFileName           a name that no file of a session can have
├── NoSuchFile            no such file in a session's folder, or not a plain one
├── FileTooLarge          more than a file of a session may have
├── FolderFull            a session's folder has no room for it
├── BadNotebook           not a notebook that can be read
├── BadUserName           a name that no user can have
├── UserExists            a second user of the same name
├── UnknownUser           nobody has this name
├── LastOperator          the others would be left without an operator
├── PasswordTooShort      a new password that is too easily guessed
├── PasswordTooLong       a new password longer than any need be
├── PasswordsDiffer       a password that was typed in two ways
├── PasswordUnread        no password came from where it was to come from
├── WrongPassword         a name and a password that do not belong together
├── TooManyAttempts       sign-ins are slowed after failures
├── UnknownKey            the user has no such key
├── BadAccessSetting      a setting of who may come in is not as it should be
├── AccessFileDamaged     the file of users and keys cannot be read any more
├── AccessFileForeign     what is in its place is something else
├── AccessFileNewer       it was written by a newer version
├── AccessFileReplaced    it was removed or replaced while in use
├── AccessFileUnusable    it cannot be opened or written just now
├── NobodyToShareWith     no user exists, so nobody could sign in
├── AlreadyShared         another process shares already
├── NoCloudflared         it is not here, and nobody said that it may be fetched
├── NoCloudflaredRelease  its release has no file for this machine
├── CloudflaredNotFetched the release page did not give it
├── CloudflaredWrong      what came is not what was released
├── CloudflaredNotKept    it could not be written to its place
├── PortTaken             something else answers on the app's port
├── AppNotStarted         the app did not come up
├── AppEnded              the app is gone while it is public
├── GateNotShut           the app lets people in without signing in
├── TunnelRateLimited     too many quick tunnels from this address
├── TunnelRefused         the tunnel's token is not accepted
├── TunnelUnreachable     cloudflared does not reach its network
├── TunnelEnded           cloudflared ended by itself
├── TunnelSlow            no address after a minute
├── NobodyCanSignIn       served to others than this machine, and no way to sign in
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


class ToolNotImported(AssistantError):
    template = "importing {reason}"


class ToolFileWrong(AssistantError):
    template = "{reason}"


class ToolNameReserved(AssistantError):
    template = "the tool {name} is named like a word that models and Python use; rename it"


class ToolNameTaken(AssistantError):
    template = "the tool {name} is also defined in {others}; rename one of them"


class ToolOfferedTwice(AssistantError):
    template = "the tool {name} is also offered by another source"


class SettingsUnreadable(AssistantError):
    template = "{path} cannot be read: {reason}"


class ServerLost(AssistantError):
    template = "{reason}"


class ServerToolRefused(AssistantError):
    template = "the tool {name} is not offered: {reason}"


class ServerToolsTooMany(AssistantError):
    template = "it has more than {limit} tools; the first {limit} are offered"


class ServerToolMissing(AssistantError):
    template = '"effects" names {name}, and the server has no such tool'


class ServerToolTaken(AssistantError):
    template = "{name} is not offered: another server has a tool of this name"


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


class SandboxWeaker(AssistantError):
    template = (
        "Isolation here has become weaker: it is of level {level} now, and was of level {before}. "
        "Nothing was run, and the variables are lost. What is run next runs at level {level}."
    )


class CodeNotPublic(AssistantError):
    template = (
        "Code of people elsewhere is not run here: isolation on this machine is of level {level}, "
        "and that needs level 1, 1c, 2 or 2s. Sharing can allow it by `--allow unsafe-interpreter`."
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


class BadUserName(AssistantError):
    template = (
        "{name!r} cannot be a user's name. It begins with a letter a-z or a digit, and has up to "
        "64 letters, digits and . _ @ + -."
    )


class UserExists(AssistantError):
    template = (
        "There is a user {name} already. A new password is set with "
        "`python -m assistant user passwd {name}`."
    )


class UnknownUser(AssistantError):
    template = "There is no user {name!r}. `python -m assistant user list` shows who there is."


class LastOperator(AssistantError):
    template = (
        "{name} is the only operator, and there are other users. Add another operator first: "
        "`python -m assistant user add NAME --operator`."
    )


class PasswordTooShort(AssistantError):
    template = "The password is too short: it needs at least {least} characters."


class PasswordTooLong(AssistantError):
    template = "The password is too long: it may have at most {most} bytes in UTF-8."


class PasswordsDiffer(AssistantError):
    template = "The two passwords are not the same. Nothing was changed."


class PasswordUnread(AssistantError):
    template = "No password could be read. Type it in a terminal, or pipe in one line of UTF-8."


class WrongPassword(AssistantError):
    template = "The name or the password is wrong."


class TooManyAttempts(AssistantError):
    template = "Too many attempts to sign in. Try again in {seconds} s."


class UnknownKey(AssistantError):
    template = "There is no key {id!r}. `python -m assistant key list` shows those there are."


class BadAccessSetting(AssistantError):
    template = "{name} is not as it should be: found {found}, expected {expected}."


class AccessFileDamaged(AssistantError):
    template = (
        "{path}, which holds users and keys, is damaged: {reason}. Nobody is let in. Put a copy of "
        "it back, or move it and its -wal and -shm files away and add the users again."
    )


class AccessFileForeign(AssistantError):
    template = (
        "{path} is not a file of users and keys that this program made. It was left as it is; move "
        "it away, and add the users again if need be."
    )


class AccessFileNewer(AssistantError):
    template = (
        "{path} was written by a newer version of this program (format {found}; this one knows "
        "{known}). Use that version, or move the file away and add the users again."
    )


class AccessFileReplaced(AssistantError):
    template = (
        "{path} was removed or replaced while it was in use. Nobody is let in until this program "
        "is started again."
    )


class AccessFileUnusable(AssistantError):
    template = (
        "{path}, which holds users and keys, cannot be used: {reason}. It must be readable and "
        "writable to this user, with room on the disk; if it is only busy, try again."
    )


class NobodyToShareWith(AssistantError):
    template = (
        "There is no user yet, so nobody could sign in. Add yourself first: "
        "`python -m assistant user add NAME`."
    )


class AlreadyShared(AssistantError):
    template = (
        "The assistant is shared already, by process {pid}. End that one first, or stop sharing on "
        "the page."
    )


class NoCloudflared(AssistantError):
    template = (
        "cloudflared, which makes the tunnel, is not here. Install it, or run the command again "
        "with --yes to have version {version} fetched from {page}."
    )


class NoCloudflaredRelease(AssistantError):
    template = (
        "No cloudflared can be fetched for {system} on {machine}. Install it by hand, so that "
        "`cloudflared` is on PATH."
    )


class CloudflaredNotFetched(AssistantError):
    template = (
        "cloudflared could not be fetched: {url}: {reason}. Nothing was kept. Try again, or "
        "install it by hand, so that `cloudflared` is on PATH."
    )


class CloudflaredWrong(AssistantError):
    template = (
        "What came as {name} is not what was released, and was thrown away: found sha256 {found}, "
        "expected {expected}. Something on the way may change files; install cloudflared by hand."
    )


class CloudflaredNotKept(AssistantError):
    template = "cloudflared cannot be kept at {path}: {reason}."


class PortTaken(AssistantError):
    template = (
        "Port {port} is in use, and what answers there is not this app. Say --port with the app's "
        "port, or with a free one."
    )


class AppNotStarted(AssistantError):
    template = "The app did not start: {reason}. {log} says more."


class AppEnded(AssistantError):
    template = "The app on port {port} is gone, so it is not public any more. Start again."


class GateNotShut(AssistantError):
    template = (
        "The app on port {port} lets people in without signing in, so it is not made public. It is "
        "an older version, or runs with another ASSISTANT_HOME. End it and try again."
    )


class TunnelRateLimited(AssistantError):
    template = (
        "Cloudflare makes no more quick tunnels for this address just now (429). Wait some "
        "minutes, or use a tunnel of your own: --token and --hostname."
    )


class TunnelRefused(AssistantError):
    template = "Cloudflare does not accept the tunnel's token. Copy it again from the dashboard."


class TunnelUnreachable(AssistantError):
    template = (
        "cloudflared does not reach Cloudflare: {reason}. It needs DNS, TCP 443 and TCP or UDP "
        "7844 outwards."
    )


class TunnelEnded(AssistantError):
    template = "cloudflared ended by itself (exit code {code}): {reason}"


class TunnelSlow(AssistantError):
    template = "The tunnel was not up after {seconds:.0f} seconds."


class NobodyCanSignIn(AssistantError):
    template = (
        "Not serving on {address}: nobody could sign in. First add a user, "
        "`python -m assistant user add NAME`, or set up OpenID Connect or a trusted proxy. For "
        "this machine alone no sign-in is needed: --server.address 127.0.0.1"
    )


class InternalError(AssistantError):
    template = "Something went wrong inside ({kind}). The server's log says more."
