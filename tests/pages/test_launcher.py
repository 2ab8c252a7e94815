"""What the launcher serves besides the pages, and what it says when it cannot serve."""

import os
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_engine import FakeEngine, assistant_on
from scripted_sessions import ScriptedSessions, workbench_of
from starlette.testclient import TestClient

import assistant
from assistant import Assistant, ModelLoader
from assistant.errors import SandboxRefused
from engine import DownloadFailed
from streamlit_app import app

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nobody's users and sign-ins but the test's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASSISTANT_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture
def client() -> Iterator[TestClient]:
    """Requests from this machine to the launcher's app, whose lifespan is not run."""
    yield TestClient(app, base_url="http://127.0.0.1:8501", client=("127.0.0.1", 50_000))
    assistant.install(None)


def test_health_names_the_model_and_the_kernels(client: TestClient, tmp_path: Path) -> None:
    assistant.install(assistant_on(FakeEngine("ok"), tmp_path))
    response = client.get("/health")
    assert response.status_code == 200
    assert response.json() == {
        "state": "ready",
        "model": "Fake 1M",
        "kernels": "scripted",
        "threads": 1,
        "sandbox": {"state": "unprepared"},
    }


def test_health_names_the_level_of_the_sandbox(client: TestClient, tmp_path: Path) -> None:
    sessions = ScriptedSessions(tmp_path)
    behind = assistant_on(FakeEngine("ok"), tmp_path, None, workbench_of(sessions))
    assistant.install(behind)
    sessions.error = SandboxRefused(tried="1: no bwrap", command="apt-get")
    behind.workbench.prepare()
    behind.workbench.wait()
    refused = client.get("/health").json()["sandbox"]
    assert (refused["state"], refused["level"]) == ("unusable", "0")
    assert "no bwrap" in refused["error"]
    sessions.error = None
    behind.workbench.prepare()
    behind.workbench.wait()
    found = client.get("/health").json()["sandbox"]
    assert found == {"state": "usable", "level": "1", "why": "1: no user namespaces"}


def test_health_is_503_until_there_is_a_model(client: TestClient, tmp_path: Path) -> None:
    assistant.install(Assistant(ModelLoader(lambda: tmp_path)))
    response = client.get("/health")
    assert (response.status_code, response.json()) == (
        503,
        {"state": "starting", "sandbox": {"state": "unprepared"}},
    )


def test_health_says_why_there_is_no_model(client: TestClient, tmp_path: Path) -> None:
    def fetch(*_: object) -> Path:
        raise DownloadFailed(what="w", reason="no network", tried="t", remedy="y")

    behind = Assistant(ModelLoader(lambda: tmp_path, fetch=fetch))
    assistant.install(behind)
    state = behind.model_state
    behind.open_model(None)
    while not isinstance(state, assistant.Failed):
        state = behind.wait_model(state)
    response = client.get("/health")
    assert (response.status_code, response.json()["state"]) == (503, "failed")
    assert "no network" in response.json()["error"]


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/no/such/thing"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_unknown_api_path_is_json_and_404(client: TestClient, method: str, path: str) -> None:
    response = client.request(method, path)
    assert response.status_code == 404
    assert "There is no /v1" in response.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/health", "/v1/none"])
def test_every_response_forbids_what_a_hostile_text_could_fetch(
    client: TestClient, tmp_path: Path, path: str
) -> None:
    assistant.install(assistant_on(FakeEngine("ok"), tmp_path))
    headers = client.get(path).headers
    assert "img-src 'self' data: blob:" in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_a_second_server_on_the_same_port_ends_with_a_clear_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [
                *(sys.executable, "-m", "streamlit", "run", "streamlit_app.py"),
                *("--server.port", str(port)),
            ],
            cwd=ROOT,
            env={**os.environ, "ASSISTANT_HOME": str(tmp_path), "MODEL": "none.gguf"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert f"Port {port} is not available" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_where_others_reach_it_it_is_not_served_before_somebody_can_sign_in(
    tmp_path: Path, address: str
) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "streamlit", "run", "streamlit_app.py"),
            *("--server.port", "0", "--server.address", address),
        ],
        cwd=ROOT,
        env={**os.environ, "ASSISTANT_HOME": str(tmp_path), "MODEL": "none.gguf", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "python -m assistant user add NAME" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_usual_port_is_fixed_so_that_a_second_server_cannot_slip_to_the_next() -> None:
    config = (ROOT / ".streamlit" / "config.toml").read_text()
    assert "\nport = 8501" in config


def test_no_run_of_a_page_ends_with_a_look_through_every_object_there_is() -> None:
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert config["runner"]["postScriptGC"] is False  # 0.1 s in which nothing else runs
