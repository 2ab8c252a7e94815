"""What a file in this folder needs to be a tool; README.md shows one. Files with `_` are none."""

from tools._declaration import Example, ToolError, tool
from tools._results import File, Image, Table
from tools._secrets import secret

__all__ = ["Example", "File", "Image", "Table", "ToolError", "secret", "tool"]
