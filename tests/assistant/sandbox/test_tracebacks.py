"""What an error says: the person's own code, and what would have been there."""

from collections.abc import Iterator

import pytest
from interpreter import error_of, open_sessions, run

from assistant.outputs import ErrorOutput, without_colours
from assistant.sandbox.session import Session

TABLE = "import pandas as pd\ndf = pd.DataFrame({'月份': [1], 'revenue': [2]})\n"


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with open_sessions(tmp_path_factory.mktemp("sessions")) as sessions:
        yield sessions.session("one")


def failed(session: Session, code: str) -> tuple[ErrorOutput, str]:
    error = error_of(run(session, code))
    return error, without_colours(error.traceback)


def test_a_missing_column_says_which_there_are(session: Session) -> None:
    error, told = failed(session, f"{TABLE}df['Revenue']")
    assert (error.name, error.message) == ("KeyError", "'Revenue'")
    assert "There is no column 'Revenue'. The columns are: '月份', 'revenue'" in told


def test_any_other_missing_key_says_only_itself(session: Session) -> None:
    assert "columns" not in failed(session, f"{TABLE}{{}}['a']")[1]


def test_a_traceback_leaves_libraries_out(session: Session) -> None:
    _, told = failed(session, f"{TABLE}def pick():\n    return df['Revenue']\npick()")
    assert "return df['Revenue']" in told
    assert "site-packages" not in told
    assert "direct cause" not in told


def test_a_cause_in_the_person_s_code_stays(session: Session) -> None:
    code = "try:\n    1 / 0\nexcept Exception as e:\n    raise ValueError('x') from e"
    _, told = failed(session, code)
    assert "1 / 0" in told
    assert "direct cause" in told


def test_code_in_a_file_of_the_session_is_the_person_s_too(session: Session) -> None:
    session.upload("helper.py", b"def half(x):\n    return x / 0\n")
    assert "return x / 0" in failed(session, "import helper\nhelper.half(1)")[1]
