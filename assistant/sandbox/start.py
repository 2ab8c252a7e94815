"""Starts the supervisor alone: python start.py FOLDER_OF_THE_ASSISTANT SOCKET_DESCRIPTOR

Importing the package `assistant` in the usual way would load the engine; the supervisor needs a few
files of it. So the package is here a name and a folder, and its doorway is not opened.
"""

import importlib
import sys
from types import ModuleType

if __name__ == "__main__":
    package = ModuleType("assistant")
    package.__path__ = [sys.argv[1]]
    sys.modules["assistant"] = package
    sys.path.pop(0)  # this folder: its files are modules of the package, not of the world
    importlib.import_module("assistant.sandbox.supervisor").main(int(sys.argv[2]))
