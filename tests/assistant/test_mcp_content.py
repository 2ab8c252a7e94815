"""Results as MCP has them, a stranger's and our own."""

import base64
import io

import mcp_types
import pytest
from PIL import Image

from assistant.mcp_content import MAX_BINARY, MAX_TEXT, as_call_result, as_tool_result
from assistant.outputs import ErrorOutput, FileOutput, ImageOutput, JsonOutput, Output, TextOutput
from assistant.toolsource import ToolResult


def picture(width: int, height: int) -> bytes:
    data = io.BytesIO()
    Image.new("1", (width, height)).save(data, "PNG")
    return data.getvalue()


def read(*content: mcp_types.ContentBlock, structured: object = None) -> tuple[Output, ...]:
    answer = mcp_types.CallToolResult(content=list(content), structured_content=structured)
    return as_tool_result(answer).outputs


def text(said: str) -> mcp_types.TextContent:
    return mcp_types.TextContent(text=said)


def blob(uri: str, data: str) -> mcp_types.EmbeddedResource:
    return mcp_types.EmbeddedResource(resource=mcp_types.BlobResourceContents(uri=uri, blob=data))


def test_text_without_end_is_cut() -> None:
    (output,) = read(text("x" * (MAX_TEXT + 1)))
    assert isinstance(output, TextOutput)
    assert "1 characters left out" in output.text


def test_a_value_without_end_becomes_text_that_is_cut() -> None:
    (output,) = read(structured={"a": "x" * MAX_TEXT})
    assert isinstance(output, TextOutput)
    assert "characters left out" in output.text


def test_text_that_says_something_else_than_the_value_stays() -> None:
    outputs = read(text("two rows"), text('{"a": 1}'), structured={"a": 1})
    assert outputs == (TextOutput("two rows"), JsonOutput({"a": 1}))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("not base64!", "no base64"),
        (base64.b64encode(b"GIF89a").decode(), "cannot be read"),
        (base64.b64encode(picture(8000, 6000)).decode(), "8000 x 6000"),
        ("A" * (2 * MAX_BINARY), f"more than {MAX_BINARY} bytes"),
    ],
)
def test_a_picture_that_is_none_is_an_error_to_read(data: str, said: str) -> None:
    (output,) = read(mcp_types.ImageContent(data=data, mime_type="image/png"))
    assert isinstance(output, ErrorOutput)
    assert said in output.message


def test_a_resource_is_text_or_a_file_with_a_safe_name() -> None:
    written = mcp_types.TextResourceContents(uri="file:///a", text="inside")
    data = base64.b64encode(b"\0\1").decode()
    assert read(
        mcp_types.EmbeddedResource(resource=written),
        blob("file:///x/..%2F.<b>.bin", data),
        blob("file:///", data),
        blob("file:///x", "!"),
    ) == (
        TextOutput("inside"),
        FileOutput("_2F._b_.bin", b"\0\1"),
        FileOutput("file_", b"\0\1"),
        ErrorOutput("BadFile", "the file cannot be read: it is no base64"),
    )


def test_what_has_no_form_here_is_named() -> None:
    link = mcp_types.ResourceLink(name="readme", uri="file:///readme")
    sound = mcp_types.AudioContent(data="", mime_type="audio/wav")
    assert read(link, sound) == (
        TextOutput("[Link] readme: file:///readme"),
        TextOutput("[audio is not shown]"),
    )


def test_our_outputs_go_there_and_come_back() -> None:
    data = picture(2, 2)
    outputs = (
        TextOutput("北京"),
        ImageOutput(data, 2, 2),
        FileOutput("a.bin", b"\0"),
        JsonOutput({"a": [1]}),
    )
    sent = as_call_result(ToolResult(outputs))
    assert sent.structured_content == {"a": [1]}
    back = as_tool_result(sent).outputs
    assert (back[0], back[2], back[3]) == (outputs[0], outputs[2], outputs[3])
    assert isinstance(back[1], ImageOutput)
    assert (back[1].width, back[1].height) == (2, 2)


def test_our_error_is_told_as_one() -> None:
    sent = as_call_result(ToolResult((ErrorOutput("ValueError", "no"),), is_error=True))
    assert sent.is_error
    assert sent.content == [text("ValueError: no")]
