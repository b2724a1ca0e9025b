"""Files and visitors that mean harm.

Pickles that would run a program, in every wrapping that a checkpoint can have; HTML in file names and metadata on its
way through data, notebook and report; and the servers as the README starts them: they listen to this machine alone,
and JupyterLab lets nobody in without its token.
"""

import asyncio
import html.parser
import json
import os
import pickle
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from contextlib import suppress
from pathlib import Path

import nbformat
import psutil
import pytest
import torch
import tornado.websocket
from conftest import ROOT, write_pair

from carvana_course.deployment import export
from carvana_course.headless import notebooks as chapters
from carvana_lib import CheckpointError
from carvana_lib.checkpoints import load_checkpoint
from carvana_lib.config import Params
from carvana_lib.data import open_data
from carvana_lib.runs import Run

from . import notebooks
from .conftest import FULL, TINY

ATTACK = "<img src=x onerror=alert(1)>"
BREAK_OUT = "</script><script>alert(2)</script>"


class Bomb:
    """What leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def wrapped(bomb: Bomb, good: Path, to: Path) -> dict[str, Path]:
    """The bomb as a bare pickle, in torch's old and new format, among a real checkpoint's tensors, and in its place."""
    files = {name: to / name for name in ("bare", "old", "new", "among", "inside")}
    files["bare"].write_bytes(pickle.dumps(bomb, protocol=2))
    torch.save(bomb, files["old"], _use_new_zipfile_serialization=False)
    torch.save(bomb, files["new"])
    torch.save(torch.load(good, weights_only=True) | {"params": bomb}, files["among"])
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(files["inside"], "w") as target:
        for member in source.infolist():
            planted = member.filename.endswith("data.pkl")
            target.writestr(member, pickle.dumps(bomb, protocol=2) if planted else source.read(member))
    return files


def test_no_wrapping_makes_a_pickle_run(server, tiny, tally, tmp_path):
    assert server("train", params=tiny, runs=tmp_path).ended == "done"
    went_off = tmp_path / "went off"
    files = wrapped(Bomb(went_off), tmp_path / "tiny" / "checkpoints" / "best", tmp_path)
    for file in files.values():
        with pytest.raises(CheckpointError, match="is not a checkpoint of this course, or is damaged"):
            load_checkpoint(file)
        file.rename(file.with_suffix(".onnx"))
        with pytest.raises(CheckpointError, match="cannot be loaded"):
            export.predictor(file.with_suffix(".onnx"))
        assert not went_off.exists(), f"{file.name} ran"
    with pytest.raises(AttributeError):
        pickle.loads(files["bare"].with_suffix(".onnx").read_bytes()).no_such_thing  # noqa: B018  the bomb itself works
    assert went_off.exists()
    tally("pickles that would run", 2 * len(files), "refused unread, as checkpoint and as ONNX file")


class Elements(html.parser.HTMLParser):
    """What a browser would make of a page: elements with their attributes, and the text of scripts that would run."""

    def __init__(self, page: str):
        super().__init__()
        self.found, self.scripts, self.inside = [], [], False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.found.append((tag, attributes))
        self.inside = tag == "script" and "json" not in attributes.get("type", "")

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, text):
        if self.inside:
            self.scripts.append(text)

    def attacks(self) -> list:
        """What came in by a name: an element of ours, or a script that says alert."""
        planted = [(tag, a) for tag, a in self.found if a.get("src") == "x" or "alert(" in (a.get("onerror") or "")]
        return planted + [text for text in self.scripts if re.fullmatch(r"\s*alert\(\d\)\s*", text)]


@pytest.fixture
def hostile(tmp_path):
    """Pictures whose names, and whose cars' makes, are HTML; one of them is faulty, so that its name is told."""
    folder = tmp_path / "hostile"
    names = [f"{ATTACK}{car}" for car in "abc"]
    for number, car in enumerate(names):
        for view in range(1, 9):
            write_pair(folder, f"{car}_{view:02d}", seed=number)
    (folder / "train_masks" / f"{ATTACK}a_01_mask.gif").unlink()
    rows = "".join(f'"{car}",2020,"{BREAK_OUT}","{ATTACK}",T,T\n' for car in names)
    (folder / "metadata.csv").write_text("id,year,make,model,trim1,trim2\n" + rows)
    return folder


LOOK = """
from IPython.display import HTML, display
from carvana_course.browser import MaskBrowser
from carvana_course.parameters import notebook_params
from carvana_lib.data import open_data
data = open_data(notebook_params(globals()))
browser = MaskBrowser(data.table, data.images, data.masks)
display(data.audit, data.table, browser, browser.widget)
print(data.audit.to_string())
"""


def test_html_in_names_and_metadata_stays_text(hostile, tally, tmp_path, monkeypatch):
    assert Elements(f"<p>{ATTACK}{BREAK_OUT}").attacks() == [
        ("img", {"src": "x", "onerror": "alert(1)"}), "alert(2)"
    ], "the test sees attacks"  # fmt: skip
    params = Params(**TINY | {"data_dir": str(hostile)})
    monkeypatch.setattr(chapters, "NOTEBOOKS", notebooks.write(tmp_path / "books", LOOK))
    chapters.run_notebooks(params)
    pages = [Run("tiny").report.read_text()]
    if FULL:
        monkeypatch.undo()
        monkeypatch.setenv("CARVANA_RUNS", str(tmp_path))
        chapters.run_notebooks(params.replace(run_name="course"), only=["01", "04", "05"])
        pages.append(Run("course").report.read_text())
    for page in pages:
        assert "&lt;img src=x onerror=alert(1)&gt;" in page, "the names are on the page"
        assert not Elements(page).attacks()
    tally("HTML as names of pictures, makes and models", len(pages), "reports that show it and run none of it")


def test_html_in_names_stays_text_in_the_widget(hostile):
    from carvana_course.browser import MaskBrowser

    data = open_data(Params(**TINY | {"data_dir": str(hostile)}))
    browser = MaskBrowser(data.table, data.images, data.masks)
    browser.widget  # noqa: B018  makes the controls
    for _ in range(len(data.table)):
        browser.step(1)
        assert "<img" in browser.controls.viewer.shown["title"]  # which the page takes for text
        shown = [c.value for c in vars(browser.controls).values() if type(c).__name__ == "HTML"]
        assert not any(Elements(text).attacks() for text in shown)
    browser.close()
    scripts = [path.read_text("utf8") for path in (ROOT / "carvana_course" / "browser").glob("*.js")]
    assert scripts and not any("innerHTML" in script or "insertAdjacentHTML" in script for script in scripts)


# Servers


def listening(process: psutil.Process) -> set[tuple[str, int]]:
    """(address, port) of everything that a process and its children listen on."""
    found = set()
    for one in [process, *process.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):  # a child may end at any time
            found |= {tuple(c.laddr) for c in one.net_connections("inet") if c.status == psutil.CONN_LISTEN}
    return found


@pytest.fixture
def start(tmp_path):
    """Start a command of the README in the repository, as a reader without settings of his own; its process."""
    started = []

    def run(words: list[str]) -> psutil.Process:
        names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "HOME", "CARVANA_RUNS")
        environment = {name: text for name, text in os.environ.items() if not name.startswith(("JUPYTER", "JPY"))}
        environment |= {name: str(tmp_path / name) for name in names} | {"BROWSER": "true", "JUPYTER_PORT": "0"}
        with open(tmp_path / "log", "w") as log:
            command = subprocess.Popen(words, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)
        started.append(command)
        return psutil.Process(command.pid)

    yield run
    for command in started:
        os.killpg(command.pid, signal.SIGTERM)
        try:
            command.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(command.pid, signal.SIGKILL)


def wait_for(what, seconds: float = 120):
    """The first true answer of `what()`."""
    deadline = time.monotonic() + seconds
    while not (answer := what()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return answer


def status(address: str, **headers) -> int:
    """The HTTP status of a page; 403 also where it leads to the one that asks for the token."""
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=30) as page:
            return 403 if urllib.parse.urlsplit(page.url).path == "/login" else page.status
    except urllib.error.HTTPError as error:
        return error.code


def is_of_this_machine(address: str) -> bool:
    return address in ("127.0.0.1", "::1")


def test_jupyterlab_keeps_to_this_machine_and_asks_for_its_token(start, tally, tmp_path):
    plain = {name: text for name, text in os.environ.items() if not name.startswith("MAKE")}  # of `make test`
    words = ["make", "-n", "-o", ".venv/installed", "lab"]
    said = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=plain)
    words = shlex.split(said.stdout.splitlines()[-1])
    words = [sys.executable, "-m", *words[0].rsplit("/", 1)[1:], *words[1:]] if words[0].startswith(".venv") else words
    process = start(words)
    (file,) = wait_for(lambda: list((tmp_path / "JUPYTER_RUNTIME_DIR").glob("jpserver-*.json")))
    server = wait_for(lambda: (text := file.read_text()).endswith("}") and json.loads(text))
    port = server["port"]
    wait_for(lambda: any(p == port for _, p in listening(process)))
    assert all(is_of_this_machine(address) for address, _ in listening(process)), listening(process)
    base = f"http://127.0.0.1:{port}"
    assert server["token"] and len(server["token"]) >= 32
    assert status(f"{base}/api/contents?token={server['token']}") == 200
    wrong = f"/api/contents?token={server['token'][:-1]}"
    refused = ["/lab", "/api/contents", "/api/kernels", "/api/terminals", "/files/README.md", "/api/me", wrong]
    assert {path: status(base + path) for path in refused} == dict.fromkeys(refused, 403)
    assert status(f"{base}/api/contents?token={server['token']}", Host="evil.example") == 403
    tally("make lab", len(refused), "requests without its token refused (403); it listens on 127.0.0.1 alone")


async def send_code(port: int, kernel: str, code: str) -> str:
    """Ask a kernel of Voila to run code, as a page with its address could; '' where nothing is answered in a second."""
    header = dict.fromkeys(("username", "date"), "") | {"msg_id": "1", "session": "1", "version": "5.3"}
    header["msg_type"] = "execute_request"
    asked = {"header": header, "parent_header": {}, "metadata": {}, "channel": "shell", "buffers": []}
    kernel = await tornado.websocket.websocket_connect(f"ws://127.0.0.1:{port}/api/kernels/{kernel}/channels")
    await kernel.write_message(json.dumps(asked | {"content": {"code": code, "silent": False}}))
    answers = ""
    while "execute_reply" not in answers:
        try:
            answers += str(await asyncio.wait_for(kernel.read_message(), 1))
        except TimeoutError:
            break
    return answers


def test_voila_keeps_to_this_machine_and_runs_no_code_of_visitors(start, tally, tmp_path):
    folder = tmp_path / "page"
    folder.mkdir()
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print('computed')")])
    book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(book, folder / "page.ipynb")
    process = start([sys.executable, "-m", "voila", str(folder / "page.ipynb"), "--no-browser", "--port=0"])
    ((_, port), *_) = wait_for(lambda: listening(process))
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as page:  # which starts a kernel
        text = page.read().decode()
    assert "computed" in text
    assert all(is_of_this_machine(address) for address, _ in listening(process)), listening(process)
    assert status(f"http://127.0.0.1:{port}/", Host="evil.example") == 403, "a page elsewhere could rebind its name"
    (kernel,) = re.findall(r'"kernelId"\s*:\s*"([^"]+)"', text)
    made = tmp_path / "made"
    answers = asyncio.run(send_code(port, kernel, f"open({str(made)!r}, 'w')"))
    assert "execute_reply" not in answers and not made.exists()
    tally("voila", 2, "a request by another name refused, code for its kernel ignored; it listens on 127.0.0.1 alone")
