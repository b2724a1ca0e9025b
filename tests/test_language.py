"""The notebooks' words, kept in check: reading time, length of sentences, spelling and first use of terms."""

import re

import nbformat
import pytest
from conftest import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
TEXTS = [ROOT / "TEACHING.md", ROOT / "docs" / "glossary.md", ROOT / "docs" / "own-pictures.md"]
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
    cells = nbformat.read(path, 4).cells
    text = markdown_of(path)
    reading = re.split(r"^## Exercises", text, flags=re.M)[0]
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
