"""Who watches: kernels as a person's programs start them, and as headless ones do."""

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient

from carvana_lib.device import is_live

ASK = "from carvana_lib.device import is_live\nprint(is_live())"
# These tell nothing, for tests that VS Code starts have them too; only its notebooks have __vsc_ipynb_file__
VSCODE = {"VSCODE_PID": "94309", "VSCODE_CWD": "/home/reader", "VSCODE_IPC_HOOK": "/run/user/1000/vscode.sock"}


@pytest.fixture(autouse=True)
def nobody(monkeypatch):
    """No variable of whoever started the tests."""
    for name in ("JPY_SESSION_NAME", "SERVER_SOFTWARE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def kernel():
    """A kernel that VS Code started, but not yet named its notebook to: `kernel(code)` gives what the code prints."""
    manager, client = start_new_kernel(kernel_name="python3", env=VSCODE)

    def run(code: str) -> str:
        printed = []
        client.execute_interactive(code, output_hook=lambda message: printed.append(message["content"].get("text", "")))
        return "".join(printed)

    yield run
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def test_a_notebook_of_vs_code_is_for_a_person_and_what_else_it_starts_is_not(kernel):
    assert kernel(ASK) == "False\n"
    kernel("__vsc_ipynb_file__ = '/home/reader/notebooks/01_data.ipynb'")
    assert kernel(ASK) == "True\n"


def test_headless_notebooks_are_for_nobody_wherever_they_were_started(monkeypatch):
    for name, value in VSCODE.items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(ASK)])
    NotebookClient(notebook, kernel_name="python3").execute()
    assert notebook.cells[0].outputs[0].text == "False\n" and not is_live()


@pytest.mark.parametrize(("name", "value"), [("JPY_SESSION_NAME", "01_data.ipynb"), ("SERVER_SOFTWARE", "voila/0.5")])
def test_jupyters_server_and_voila_are_for_a_person(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert is_live()
