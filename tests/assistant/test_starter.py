"""The whole way in a terminal: the real starter model, asked through the command line."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.starter


def answer(model: Path, question: str) -> str:
    command = [sys.executable, "-m", "assistant", "chat", "-m", str(model), "-p", question]
    command += ["--temperature", "0", "--max-new-tokens", "60"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    return done.stdout


def test_the_starter_knows_the_capital_of_france(starter: Path) -> None:
    assert "Paris" in answer(starter, "What is the capital of France? Answer in one word.")


def test_the_starter_answers_chinese_in_chinese(starter: Path) -> None:
    text = answer(starter, "用一句话介绍北京")
    chinese = [character for character in text if "\u4e00" <= character <= "\u9fff"]
    assert "北京" in text
    assert len(chinese) > len(text.strip()) / 2
