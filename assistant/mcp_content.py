"""Results of tools as MCP has them: a stranger's as outputs of ours, and the other way."""

import base64
import binascii
import json
import re

import mcp_types

from assistant.outputs import (
    ErrorOutput,
    FileOutput,
    ImageOutput,
    JsonOutput,
    Output,
    TextOutput,
    observation,
    shortened,
)
from assistant.pictures import BadPicture, clean_picture
from assistant.toolsource import ToolResult

MAX_BLOCKS = 64
MAX_TEXT = 1_000_000  # characters of one text, as a person sees it
MAX_BINARY = 16_000_000  # bytes


def as_tool_result(answer: mcp_types.CallToolResult) -> ToolResult:
    """The answer of a stranger's server: cut to size, pictures decoded and encoded anew."""
    blocks: list[mcp_types.ContentBlock] = answer.content[:MAX_BLOCKS]
    outputs = [_output(block) for block in blocks]
    structured = answer.structured_content
    if structured is not None:
        # Servers send the same as text too, for clients that read only that.
        outputs = [output for output in outputs if not _says(output, structured)]
        outputs.append(_json(structured))
    n_left_out = len(answer.content) - len(blocks)
    if n_left_out:
        outputs.append(TextOutput(f"[{n_left_out} more parts left out]"))
    return ToolResult(tuple(outputs), answer.is_error)


def as_call_result(result: ToolResult) -> mcp_types.CallToolResult:
    """The result of a tool of ours, for a client: as much of it as MCP has a form for."""
    content = [_block(output) for output in result.outputs]
    values = [output.value for output in result.outputs if isinstance(output, JsonOutput)]
    structured = values[0] if len(values) == 1 and isinstance(values[0], dict) else None
    return mcp_types.CallToolResult(
        content=content, structured_content=structured, is_error=result.is_error
    )


def _output(block: mcp_types.ContentBlock) -> Output:
    match block:
        case mcp_types.TextContent(text=text):
            return TextOutput(shortened(text, MAX_TEXT))
        case mcp_types.ImageContent(data=data):
            return _image(data)
        case mcp_types.EmbeddedResource(resource=mcp_types.TextResourceContents(text=text)):
            return TextOutput(shortened(text, MAX_TEXT))
        case mcp_types.EmbeddedResource(resource=mcp_types.BlobResourceContents() as blob):
            return _file(blob)
        case mcp_types.ResourceLink(name=name, uri=uri):
            return TextOutput(shortened(f"[Link] {name}: {uri}", MAX_TEXT))
    return TextOutput(f"[{block.type} is not shown]")


def _image(data: str) -> Output:
    try:
        return clean_picture(_decoded(data))
    except (BadPicture, ValueError) as error:
        return ErrorOutput("BadPicture", str(error))


def _file(blob: mcp_types.BlobResourceContents) -> Output:
    try:
        raw = _decoded(blob.blob)
    except ValueError as error:
        return ErrorOutput("BadFile", f"the file cannot be read: {error}")
    last = str(blob.uri).rstrip("/").rpartition("/")[2]
    name = re.sub(r"[^\w.-]+", "_", last).lstrip(".")[-80:]
    return FileOutput(name or "file", raw)


def _decoded(data: str) -> bytes:
    if len(data) > MAX_BINARY * 4 // 3 + 4:
        raise ValueError(f"it has more than {MAX_BINARY} bytes")
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise ValueError("it is no base64") from error


def _json(value: object) -> Output:
    text = json.dumps(value, ensure_ascii=False)
    return JsonOutput(value) if len(text) <= MAX_TEXT else TextOutput(shortened(text, MAX_TEXT))


def _says(output: Output, value: object) -> bool:
    if not isinstance(output, TextOutput):
        return False
    try:
        return bool(json.loads(output.text) == value)
    except (ValueError, RecursionError):
        return False


def _block(output: Output) -> mcp_types.ContentBlock:
    match output:
        case ImageOutput(data):
            kind = "image/png" if data.startswith(b"\x89PNG") else "image/jpeg"
            return mcp_types.ImageContent(data=_encoded(data), mime_type=kind)
        case FileOutput(name, data):
            resource = mcp_types.BlobResourceContents(
                uri=f"file:///{name}", blob=_encoded(data), mime_type="application/octet-stream"
            )
            return mcp_types.EmbeddedResource(resource=resource)
    return mcp_types.TextContent(text=observation([output], MAX_TEXT))


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
