"""The words of all that people read, kept in check: reading time, length of sentences, spelling, good English.

words.yaml beside this file holds the words and constructions that must not come back.
"""

import ast
import re

import nbformat
import pytest
import yaml
from conftest import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
TEXTS = [ROOT / "TEACHING.md", ROOT / "docs" / "glossary.md", ROOT / "docs" / "own-pictures.md"]
RUSSIAN = [ROOT / "README.ru.md", ROOT / "docs" / "glossary.ru.md"]
PROSE = [  # all English of the repository that is not a chapter; of programs, what they say to people
    *(path for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")) if path not in RUSSIAN),
    *(ROOT / folder / "README.md" for folder in ("benchmarks", "results", "studio")),
    *ROOT.glob("notebooks/demo.ipynb"),
    *ROOT.glob("notebooks/solutions/*.ipynb"),
    *ROOT.glob("carvana_course/exercises/*.py"),
    *(ROOT / "carvana_course" / f"{name}.py" for name in ("cli", "data_commands", "options")),
    ROOT / "carvana_lib" / "config.py",
]
WORDS = yaml.safe_load((ROOT / "tests" / "words.yaml").read_text(encoding="utf8"))
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
each_text = pytest.mark.parametrize("path", [*NOTEBOOKS, *TEXTS], ids=lambda path: path.stem)
WORDS_A_MINUTE = 180  # of somebody who reads to understand
SECONDS_A_LINE = 4  # of code
LONGEST, MEAN = 45, 22  # words of a sentence
SPELLINGS = {  # what is written: what it must not be
    "IoU": r"\b(iou|IOU|Iou|IoUs'|intersection-over-union)\b",
    "mIoU": r"\b(miou|MIOU|MIoU|mIOU|mean IOU)\b",
    "U-Net": r"\b(UNet|Unet|unet|U-net|u-net|U Net)\b",
    "Dice": r"\bdice\b",
    "BatchNorm": r"\b([Bb]atch[ -]?norm|[Bb]atch normali[sz]ation)\b",
    "normalisation, -ise": r"\b[Nn]ormali[z]\w+",
    "quantisation, -ise": r"\b[Qq]uanti[z]\w+",
    "colour": r"\b[Cc]olor\w*",
    "grey": r"\b[Gg]ray\w*",
    "data set": r"\b[Dd]atasets?\b",
    "learning rate": r"\b[Ll]earning-rates?\b(?! range)",
    "AdamW": r"\b(adamw|ADAMW|Adam-W)\b",
    "ReLU": r"\b(RELU|Relu|relu)\b",
    "ONNX": r"\b(onnx|Onnx)\b",
    "PyTorch": r"\b(pytorch|Pytorch)\b",
    "JupyterLab": r"\b(Jupyter Lab|jupyterlab|Jupyterlab)\b",
    "car_id, in backticks": r"\b(car_id|carid|car id)\b",
    "papermill": r"\bPapermill\b(?!\.)",
    "float32": r"\b(fp32|FP32|float 32)\b",
}


def plain(markdown: str) -> str:
    """The words of a Markdown text, one paragraph a line: no code, headings, tables, addresses or marks of emphasis."""
    text = re.sub(r"^```.*?^```|^#.*?$|^\|.*?$", "", markdown, flags=re.M | re.S)
    text = re.sub(r"<details><summary>.*?</summary>|</?\w[^>]*>", "", text)
    text = re.sub(r"`[^`\n]+`", "CODE", text)
    text = re.sub(r"\[([^\]]*)\]\([^)\s]*\)", r"\1", text)
    return re.sub(r"\*+", "", text)


def markdown_of(path) -> str:
    if path.suffix == ".md":
        return path.read_text(encoding="utf8")
    return "\n\n".join(cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown")


def sentences(text: str) -> list[str]:
    """Lists and paragraphs cut at the ends of their sentences; a colon before a new line ends one too."""
    parts = [re.sub(r"^\s*(- |\d\. )", "", part) for part in re.split(r"\n\s*\n|\n(?=- |\d\. )", text)]
    found = [
        sentence for part in parts for sentence in re.split(r"(?<=[.?!])[\")]?\s+(?=[\"(]?[A-Z0-9])", part.strip())
    ]
    return [sentence for sentence in found if re.search(r"\w", sentence)]


def length(sentence: str) -> int:
    return len(re.findall(r"[\w'-]*\w[\w'.,-]*", sentence))


@each_notebook
def test_it_can_be_read_in_the_minutes_that_it_says(path):
    cells = [cell for cell in nbformat.read(path, 4).cells if "-ex-" not in cell.id]  # exercises have their own time
    text = markdown_of(path)
    reading = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    reading = re.split(r"^## Exercises", reading, flags=re.M)[0]
    lines = sum(
        len(re.findall(r"^\s*[^\s#]", cell.source, re.M))
        for cell in cells
        if cell.cell_type == "code" and "parameters" not in cell.metadata.get("tags", [])
    )
    minutes = length(plain(reading)) / WORDS_A_MINUTE + lines * SECONDS_A_LINE / 60
    stated = int(re.search(r"\*\*Time\*\* (\d+) minutes to read", text).group(1))
    assert minutes <= stated <= 2.5 * minutes, f"{minutes:.0f} minutes of words and code"


@each_text
def test_sentences_are_short(path):
    text = plain(re.split(r"^## Further reading", markdown_of(path), flags=re.M)[0])
    lengths = {sentence: length(sentence) for sentence in sentences(text)}
    mean = sum(lengths.values()) / len(lengths)
    assert not [sentence for sentence, words in lengths.items() if words > LONGEST]
    assert mean <= MEAN


@each_text
def test_terms_have_one_spelling(path):
    text = plain(re.split(r"^## Further reading", markdown_of(path), flags=re.M)[0])
    found = {name: re.findall(rf".*?{wrong}.*", text) for name, wrong in SPELLINGS.items() if re.search(wrong, text)}
    assert not found


def prose(path) -> str:
    """All words of a text, headings and tables too, one paragraph a line: no code, addresses or generated parts."""
    if path.suffix == ".py":
        tree = ast.parse(path.read_text(encoding="utf8"))
        values = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        text = "\n\n".join(value for value in values if isinstance(value, str))
    else:
        text = re.sub(r"<!-- [\w ]+: written by.*?<!-- end of [\w ]+ -->", "", markdown_of(path), flags=re.S)
    text = re.sub(r"^```.*?^```|</?\w[^>]*>|(?<=\])\([^)\s]*\)|[\[\]*]", "", text, flags=re.M | re.S)
    text = re.sub(r"`+[^`]+`+", "CODE", text)
    return re.sub(r"\n(?!\s*\n|\s*[-#|]|\s*\d\. )\s*", " ", text)


def offences(text: str, rules: list[dict]) -> list[str]:
    """Where a text says what a rule forbids: the words around it, and what to write."""
    found = []
    for rule in rules:
        for match in re.finditer(rule["never"], text, re.I | re.M):
            around = text[max(0, match.start() - 30) : match.end() + 30].replace("\n", " ")
            found.append(f"{around!r}: write {rule['write']}")
    return found


@pytest.mark.parametrize("path", [*NOTEBOOKS, *PROSE, *RUSSIAN], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_texts_are_written_as_a_native_speaker_would(path):
    """Each may have as many offences left as words.yaml says, and none where it says nothing: the numbers only fall."""
    name = re.sub(r"\b\d\d_", "", path.relative_to(ROOT).as_posix())  # a chapter keeps its name when it moves
    found = offences(prose(path), WORDS["russian" if path in RUSSIAN else "english"])
    left = WORDS["left"].get(name, 0)
    assert len(found) <= left, found
    assert len(found) == left, f"in tests/words.yaml, lower the number of {name} to {len(found)}"


@pytest.mark.parametrize("rule", WORDS["english"] + WORDS["russian"], ids=lambda rule: rule["write"])
def test_a_rule_finds_what_it_should_and_no_more(rule):
    assert all(offences(text, [rule]) for text in rule["caught"])
    assert not any(offences(text, [rule]) for text in rule["passed"])


def test_what_is_looked_at_is_what_people_read(tmp_path):
    """Words in headings, tables and strings count; code, addresses and generated tables do not."""
    page = tmp_path / "page.md"
    page.write_text(
        "# By heart\n\n| a | images a\nstep |\n\nSee [*by heart*](by-heart.md).\n\n`by heart`\n\n```\nby heart\n```\n"
        "<!-- table: written by `x` -->\nby heart\n<!-- end of table -->\n",
        encoding="utf8",
    )
    program = tmp_path / "program.py"
    program.write_text("by = heart = 1  # by heart\nHINT = ('a row '\n        'a picture')\n", encoding="utf8")
    assert len(offences(prose(page), WORDS["english"])) == 3
    assert len(offences(prose(program), WORDS["english"])) == 1
