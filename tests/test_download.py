"""Real data: zips made here, and a stand-in for Kaggle's service on 127.0.0.1; nothing leaves the machine."""

import errno
import http.server
import io
import json
import os
import random
import re
import stat
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from carvana_course.upkeep import download
from carvana_course.upkeep.download import unpack, verify
from carvana_lib import DataError, RunError, runs

CARS, VIEWS, SIZE = ("0aa1", "1bb2"), 3, (48, 32)
SMALL = {"cars": 2, "views": VIEWS, "size": SIZE}
COUNTS = {"cars": 2, "images": 6, "masks": 6, "width": 48, "height": 32}
IDS = [f"{car}_{view:02d}" for car in CARS for view in range(1, VIEWS + 1)]
METADATA = b'"id","year"\n"0aa1","2014"\n"1bb2","2009"\n'


def jpeg(size=SIZE) -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer := io.BytesIO(), "JPEG")
    return buffer.getvalue()


def gif(size=SIZE, values=2) -> bytes:
    """A mask with as many colours in its table as `values`, like Kaggle's; Pillow alone would write at least four."""
    array = np.arange(size[0] * size[1]).reshape(size[1], size[0]) % values
    picture = Image.fromarray(array.astype(np.uint8), "P")
    picture.putpalette([0, 0, 0, 255, 255, 255, 9, 9, 9, 8, 8, 8][: 3 * values])
    picture.save(buffer := io.BytesIO(), "GIF")
    raw = buffer.getvalue()
    return raw if values > 2 else raw[:10] + bytes([raw[10] & 0xF8]) + raw[11:19] + raw[25:]  # header 13, RGB, RGB


def content(prefix="") -> dict[str, dict[str, bytes]]:
    """Zip name -> member -> bytes; with 'train/' and 'train_masks/' before the names, or without."""
    folders = ("train/", "train_masks/") if prefix else ("", "")
    return {
        "train.zip": {f"{folders[0]}{i}.jpg": jpeg() for i in IDS},
        "train_masks.zip": {f"{folders[1]}{i}_mask.gif": gif() for i in IDS},
        "metadata.csv.zip": {"metadata.csv": METADATA},
    }


def make_zip(path: Path, members: dict, **options) -> Path:
    """Keys are names or ZipInfos."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def make_zips(folder: Path, prefix="train") -> list[Path]:
    return [make_zip(folder / name, members) for name, members in content(prefix).items()]


def tree(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


WHOLE = {
    **{f"train/{i}.jpg": jpeg() for i in IDS},
    **{f"train_masks/{i}_mask.gif": gif() for i in IDS},
    "metadata.csv": METADATA,
}


@pytest.fixture
def whole(tmp_path) -> Path:
    """An unpacked and faultless target."""
    for name, data in WHOLE.items():
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(data)
    return tmp_path / "data"


# ---------------------------------------------------------------- unpack


@pytest.mark.parametrize("prefix", ["", "train"])
def test_unpack_and_verify(tmp_path, prefix):
    unpack(make_zips(tmp_path, prefix), tmp_path / "data")
    assert tree(tmp_path / "data") == WHOLE
    assert verify(tmp_path / "data", **SMALL) == COUNTS


def test_zips_may_have_other_names_and_junk(tmp_path):
    members = content("train")["train.zip"] | {
        "train/": b"",
        "__MACOSX/train/._0aa1_01.jpg": b"x",
        "train/.DS_Store": b"x",
        "train/._0aa1_01.jpg": b"x",
    }
    zips = [make_zip(tmp_path / "train (1).zip", members), *make_zips(tmp_path)[1:]]
    unpack(zips, tmp_path / "data")
    assert tree(tmp_path / "data") == WHOLE


def test_unpacking_twice_writes_nothing(tmp_path):
    zips = make_zips(tmp_path)
    unpack(zips, tmp_path / "data")
    before = {f: (f.stat().st_ino, f.stat().st_mtime_ns) for f in (tmp_path / "data").rglob("*.*")}
    unpack(zips, tmp_path / "data")
    assert before == {f: (f.stat().st_ino, f.stat().st_mtime_ns) for f in (tmp_path / "data").rglob("*.*")}


def test_unpacking_replaces_what_is_missing_or_half_written(tmp_path):
    zips, data = make_zips(tmp_path), tmp_path / "data"
    unpack(zips, data)
    (data / "train" / f"{IDS[0]}.jpg").unlink()
    (data / "train" / f"{IDS[1]}.jpg").write_bytes(jpeg()[:100])
    (data / "metadata.csv").write_bytes(b"")
    kept = (data / "train" / f"{IDS[2]}.jpg").stat().st_ino
    unpack(zips, data)
    assert tree(data) == WHOLE
    assert (data / "train" / f"{IDS[2]}.jpg").stat().st_ino == kept


def test_unpacking_goes_on_after_a_kill(tmp_path):
    zips, data = make_zips(tmp_path), tmp_path / "data"
    program = f"""
import os, shutil
from pathlib import Path
from carvana_course.upkeep.download import unpack
count = 0
def copy(source, sink, length):
    global count
    count += 1
    sink.write(source.read() if count < 9 else source.read()[:9])
    sink.flush()
    if count == 9:
        os._exit(9)
shutil.copyfileobj = copy
unpack([Path(z) for z in {[str(z) for z in zips]}], Path({str(data)!r}))
"""
    assert subprocess.run([sys.executable, "-c", program], cwd=runs.ROOT).returncode == 9
    left = tree(data)
    finished = {name: value for name, value in left.items() if name in WHOLE}
    assert len(left) == 9 and len(finished) == 8 and finished.items() <= WHOLE.items()
    (half,) = left.keys() - finished.keys()
    unpack(zips, data)
    assert tree(data) == WHOLE | {half: left[half]}, "somebody could still be writing it"
    os.utime(data / half, (0, 0))
    unpack(zips, data)
    assert tree(data) == WHOLE


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    "member",
    [
        "../evil_01.jpg",
        "train/../../evil_01.jpg",
        "/abs_01.jpg",
        "..\\evil_01.jpg",
        "__MACOSX/../../evil_01.jpg",
        link("train/0aa1_01.jpg"),
    ],
    ids=str,
)
def test_members_that_leave_the_folder_are_refused(tmp_path, member):
    bad = make_zip(tmp_path / "in" / "train.zip", {"train/1bb2_01.jpg": jpeg(), member: b"/etc/passwd"})
    before = tree(tmp_path)
    with pytest.raises(DataError, match=r"unpack: .*train\.zip is not safe: its member '.*01\.jpg' leads out"):
        unpack([bad], tmp_path / "deep" / "data")
    assert tree(tmp_path) == before and not (tmp_path / "deep").exists()
    assert not Path("/abs_01.jpg").exists()


def test_too_large_zips_are_refused_before_anything_is_written(tmp_path):
    bomb = make_zip(tmp_path / "train.zip", {f"train/0aa1_0{view}.jpg": bytes(3_000_000) for view in (1, 2)})
    assert bomb.stat().st_size < 10_000
    with pytest.raises(DataError, match=r"train\.zip: 6,000,000 bytes, over 5,999,999; fetch"):
        unpack([bomb], tmp_path / "data", limit=5_999_999)
    assert not (tmp_path / "data").exists()
    unpack([bomb], tmp_path / "data", limit=6_000_000)
    assert download.LIMIT > 1_000_000_000  # the default lets the real data pass


def test_a_member_that_lies_about_its_size_stops_there(tmp_path):
    bomb = make_zip(tmp_path / "train.zip", {"train/0aa1_01.jpg": bytes(3_000_000)})
    size = (3_000_000).to_bytes(4, "little")
    bomb.write_bytes(bomb.read_bytes().replace(size, (1000).to_bytes(4, "little")))
    with pytest.raises(DataError, match="no whole zip"):
        unpack([bomb], tmp_path / "data", limit=1000)
    assert tree(tmp_path / "data") == {}


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packing_that_could_fill_the_memory_is_refused(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "train.zip", "w", method) as archive:
        archive.writestr("train/0aa1_01.jpg", jpeg())
    with pytest.raises(DataError, match="is not packed as Kaggle does"):
        unpack([tmp_path / "train.zip"], tmp_path / "data")


def test_an_encrypted_zip_is_refused(tmp_path):
    file = make_zip(tmp_path / "train.zip", {"train/0aa1_01.jpg": jpeg()})
    raw = bytearray(file.read_bytes())
    raw[6] |= 1
    raw[raw.index(b"PK\1\2") + 8] |= 1
    file.write_bytes(raw)
    with pytest.raises(DataError, match="is not packed as Kaggle does"):
        unpack([file], tmp_path / "data")


def test_a_zip_that_is_cut_off_or_a_web_page_is_named(tmp_path):
    good, masks, _ = make_zips(tmp_path)
    raw = good.read_bytes()
    for broken in (raw[:-100], raw[: len(raw) // 2], b"<html>Sign in</html>", b""):
        good.write_bytes(broken)
        with pytest.raises(DataError, match=r"unpack: .*train\.zip is missing or no whole zip .*delete it"):
            unpack([masks, good], tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_damaged_member_is_not_left_behind(tmp_path):
    good = make_zips(tmp_path)[0]
    raw = bytearray(good.read_bytes())
    middle = raw.index(f"train/{IDS[3]}.jpg".encode()) + 300
    raw[middle : middle + 8] = bytes(8)
    good.write_bytes(raw)
    with pytest.raises(DataError, match="no whole zip"):
        unpack([good], tmp_path / "data")
    assert tree(tmp_path / "data") == {f"train/{i}.jpg": jpeg() for i in IDS[:3]}


@pytest.mark.parametrize("offset, value", [(8, b"\0\x08"), (20, b"\xff\xff\x0f\0" * 2)], ids=["name", "size"])
def test_a_damaged_directory_is_named(tmp_path, offset, value):
    """A name that is not the UTF-8 it says it is; sizes that reach past the end of the file."""
    file = tmp_path / "train.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("train/0aa1_01.jpg", jpeg())
    raw = bytearray(file.read_bytes())
    start = raw.index(b"PK\1\2")
    raw[start + offset : start + offset + len(value)] = value
    file.write_bytes(raw.replace(b"train/0aa1", b"tr\xffin/0aa1") if offset == 8 else raw)
    with pytest.raises(DataError, match="no whole zip"):
        unpack([file], tmp_path / "data")
    assert not (tmp_path / "data").exists() or tree(tmp_path / "data") == {}


def test_random_damage_ends_in_one_sentence(tmp_path):
    raw = make_zips(tmp_path)[1].read_bytes()
    generator, raised = random.Random(0), 0
    for attempt in range(60):
        noise = bytearray(raw)
        for _ in range(3):
            noise[generator.randrange(len(noise))] = generator.randrange(256)
        (tmp_path / "noise.zip").write_bytes(noise)
        try:
            unpack([tmp_path / "noise.zip"], tmp_path / f"data{attempt}")
        except DataError:
            raised += 1
    assert raised > 20


def test_the_wrong_zip_is_refused(tmp_path):
    picture = jpeg()
    for name, member in (
        ("test.zip", "test/0aa1_01.jpg"),
        ("train_hq.zip", "train_hq/0aa1_01.jpg"),
        ("train_masks.csv.zip", "train_masks.csv"),
        ("all.zip", "train_hq.zip"),
        ("png.zip", "train/0aa1_01.png"),
        ("x.zip", "train/0aa1_01.jpg.exe"),
        ("masks.zip", "train/0aa1_01_mask.gif"),
        ("deep.zip", "a/train/0aa1_01.jpg"),
    ):
        file = make_zip(tmp_path / name, {"train/1bb2_01.jpg": picture, member: picture})
        with pytest.raises(
            DataError, match=f"{re.escape(name)} is the wrong zip: it holds '{member}'; fetch train.zip"
        ):
            unpack([file], tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_member_without_name_is_refused(tmp_path):
    file = make_zips(tmp_path)[0]
    file.write_bytes(file.read_bytes().replace(b"train/0aa1_02", b"\0rain/0aa1_02"))
    with pytest.raises(DataError, match="wrong zip: it holds ''"):
        unpack([file], tmp_path / "data")


def test_a_zip_named_twice_is_refused(tmp_path):
    train, masks, _ = make_zips(tmp_path)
    with pytest.raises(DataError, match=r"train/0aa1_01\.jpg of .*train\.zip comes twice"):
        unpack([train, masks, train], tmp_path / "data")


def test_a_zip_that_is_not_there_is_named_and_nothing_unpacked(tmp_path):
    train, *_ = make_zips(tmp_path)
    with pytest.raises(DataError, match=r"nowhere\.zip is missing .*No such file"):
        unpack([train, tmp_path / "nowhere.zip"], tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_what_never_was_a_zip_is_not_to_be_deleted(tmp_path, whole):
    train, *_ = make_zips(tmp_path)
    page = tmp_path / "page.html"
    page.write_text("<html>")
    faults = {
        whole: f"is a folder, not a zip; -p data_dir {re.escape(str(whole))} uses it, .*; else name the zips in it",
        whole / "metadata.csv": "is not a zip; copy it to .*new.metadata.csv and name the zips",
        whole / "train" / f"{IDS[0]}.jpg": "is not a zip; fetch train.zip",
        page: "is not a zip; fetch train.zip",
    }
    for file, words in faults.items():
        with pytest.raises(DataError, match=words) as caught:
            unpack([train, file], tmp_path / "new")
        assert str(file) in str(caught.value) and "delete" not in str(caught.value)
    assert not (tmp_path / "new").exists() and tree(whole) == WHOLE


OTHERS = {
    "train_hq.zip": b"not looked at",
    "test.zip": b"not looked at",
    "train_masks.csv.zip": b"not looked at",
    "sample_submission.csv.zip": b"not looked at",
    "29bb3ece3180_11.jpg": b"a test car's",
}


def make_bundle(folder: Path, method=zipfile.ZIP_DEFLATED, others=OTHERS, **changed) -> Path:
    """Kaggle's one zip of all its files; `changed` replaces the bytes of some."""
    with zipfile.ZipFile(folder / "carvana-image-masking-challenge.zip", "w", method) as bundle:
        for file in make_zips(folder / "inner"):
            bundle.writestr(file.name, changed.get(file.stem, file.read_bytes()))
        for name, data in others.items():
            bundle.writestr(name, data)
    return folder / "carvana-image-masking-challenge.zip"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_of_kaggles_one_zip_of_all_the_zips_that_are_needed_are_taken(tmp_path, method, capsys):
    target = tmp_path / "new" / "data"
    unpack([make_bundle(tmp_path, method)], target)
    assert tree(target.parent) == {f"data/{name}": data for name, data in WHOLE.items()}, "no copies are left"
    assert verify(target, **SMALL) == COUNTS
    said = r".*challenge\.zip: 3 of its 8 files are needed, the others stay in it\n"
    assert re.fullmatch(said, capsys.readouterr().out)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"train_masks": b"cut off"}, r"train_masks\.zip in .*challenge\.zip is missing or no whole zip"),
        ({"others": {"x/train.zip": b"second"}}, r"x/train\.zip in .*challenge\.zip is missing or no whole zip"),
        ({"others": {"../train.zip": b"out"}}, r"challenge\.zip is not safe: its member '\.\./train\.zip'"),
        ({"method": zipfile.ZIP_LZMA}, r"challenge\.zip is not safe: its member 'train\.zip' .* not packed as"),
    ],
    ids=str,
)
def test_a_fault_in_one_of_its_zips_is_named_and_nothing_is_left(tmp_path, fault, words):
    bundle = make_bundle(tmp_path, **fault)
    before = tree(tmp_path)
    with pytest.raises(DataError, match=words):
        unpack([bundle], tmp_path / "data")
    assert tree(tmp_path) == before


def test_limits_hold_for_the_zips_in_a_zip_and_for_what_they_hold(tmp_path):
    bundle = make_bundle(tmp_path, zipfile.ZIP_STORED)
    packed = sum(file.stat().st_size for file in (tmp_path / "inner").iterdir())
    with pytest.raises(DataError, match="the zips in .*challenge.zip have over"):
        unpack([bundle], tmp_path / "data", limit=packed - 1)
    bomb = make_zip(tmp_path / "bomb.zip", {"train/0aa1_01.jpg": bytes(3_000_000)})
    bundle = make_bundle(tmp_path, train=bomb.read_bytes())
    with pytest.raises(DataError, match="bytes, over 2,999,999"):
        unpack([bundle], tmp_path / "data", limit=2_999_999)
    assert not (tmp_path / "data").exists()


def test_a_disk_that_is_full_before_the_zips_are_out_is_one_sentence(tmp_path, monkeypatch):
    def full(source, out, length):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    bundle = make_bundle(tmp_path)
    before = tree(tmp_path)
    monkeypatch.setattr(download.shutil, "copyfileobj", full)
    with pytest.raises(RunError, match="cannot write .*data: No space left on device"):
        unpack([bundle], tmp_path / "data")
    assert tree(tmp_path) == before


def test_a_full_disk_is_one_sentence_and_leaves_no_half_file(tmp_path, monkeypatch):
    def full(source, out, length):
        out.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(download.shutil, "copyfileobj", full)
    with pytest.raises(RunError, match=r"cannot write .*0aa1_01\.jpg: No space left on device"):
        unpack(make_zips(tmp_path), tmp_path / "data")
    assert tree(tmp_path / "data") == {}


# ---------------------------------------------------------------- verify


def put(whole: Path, name: str, data: bytes | None) -> None:
    if data is None:
        (whole / name).unlink()
    else:
        (whole / name).write_bytes(data)


@pytest.mark.parametrize(
    "name, data, sentence",
    [
        ("train/0aa1_02.jpg", None, r"1 image\(s\) missing: 0aa1_02;"),
        ("train_masks/1bb2_03_mask.gif", None, r"1 image\(s\) without mask: 1bb2_03;"),
        ("train/0aa1_04.jpg", jpeg(), r"1 picture\(s\) of a view other than 1 to 3: 0aa1_04;"),
        (
            "train/2cc3_01.jpg",
            jpeg(),
            "3 of 2 cars; 2 image.* missing: 2cc3_02, 2cc3_03; 1 image.* without mask: 2cc3_01;",
        ),
        ("train_masks/2cc3_01_mask.gif", gif(), r"3 of 2 cars; 3 image\(s\) missing: 2cc3_01, 2cc3_02, 2cc3_03;"),
        ("train/1bb2_01.jpg", jpeg((48, 31)), r"1 file\(s\) not 48x32: 1bb2_01\.jpg;"),
        ("train/1bb2_01.jpg", jpeg((47, 32)), r"1 file\(s\) not 48x32: 1bb2_01\.jpg;"),
        ("train_masks/1bb2_01_mask.gif", gif((24, 16)), r"1 file\(s\) not 48x32: 1bb2_01_mask\.gif;"),
        ("train_masks/1bb2_01_mask.gif", gif(values=4), r"1 mask\(s\) of more than two values: 1bb2_01_mask\.gif;"),
        ("train_masks/1bb2_01_mask.gif", b"GIF89a", r"1 file\(s\) that cannot be read: 1bb2_01_mask\.gif;"),
        (
            "train_masks/1bb2_01_mask.gif",
            gif()[:6] + b"\xff" * 4,
            r"1 file\(s\) that cannot be read: 1bb2_01_mask\.gif;",
        ),
        (
            "train_masks/1bb2_01_mask.gif",
            gif()[:6] + b"\xff" * 4 + gif()[10:],
            r"1 file\(s\) that cannot be read: 1bb2",
        ),
        ("train_masks/1bb2_01_mask.gif", gif()[:-40], r"1 file\(s\) cut off: 1bb2_01_mask\.gif;"),
        ("train/1bb2_01.jpg", jpeg()[:-40], r"1 file\(s\) cut off: 1bb2_01\.jpg;"),
        ("train/1bb2_01.jpg", b"", r"1 file\(s\) that cannot be read: 1bb2_01\.jpg;"),
        ("metadata.csv", None, r": 1 file\(s\) missing or empty: metadata\.csv;"),
        ("metadata.csv", b"id,year\n0aa1,2014\n", r"1 car\(s\) without a row in metadata\.csv: 1bb2;"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_verify_names_what_is_wrong(whole, name, data, sentence):
    assert verify(whole, **SMALL) == COUNTS
    put(whole, name, data)
    with pytest.raises(DataError, match=f"verify: .*{sentence}"):
        verify(whole, **SMALL)


def test_verify_names_three_and_counts_the_rest(whole):
    for i in IDS:
        put(whole, f"train_masks/{i}_mask.gif", None)
    with pytest.raises(DataError, match=r"6 image\(s\) without mask: 0aa1_01, 0aa1_02, 0aa1_03 and 3 more;"):
        verify(whole, **SMALL)


def test_verify_says_how_many_cars_and_lists_all_faults_at_once(whole):
    put(whole, "train/0aa1_02.jpg", None)
    put(whole, "metadata.csv", None)
    with pytest.raises(DataError, match="2 of 318 cars; .*image.*0aa1_02; .*metadata.csv; delete"):
        verify(whole, views=VIEWS, size=SIZE)
    with pytest.raises(DataError, match="0 of 2 cars"):
        verify(whole / "nowhere", **SMALL)


def test_verify_lets_pass_what_is_no_fault(whole):
    put(whole, "train/.DS_Store", b"x")
    put(whole, "train/0aa1_01.jpg", jpeg() + b"\n\0")  # bytes after the end marker
    put(whole, "train_masks/0aa1_02_mask.gif", gif() + b"\0")
    with Image.open(io.BytesIO(gif())) as mask:  # two values, but a colour table of 256
        grey = mask.point(lambda value: value * 255, "L")
    grey.save(whole / "train_masks" / "0aa1_01_mask.gif", optimize=False)
    assert verify(whole, **SMALL) == COUNTS


def test_verify_expects_the_whole_of_carvana_at_its_size(tmp_path):
    picture, mask = jpeg((1918, 1280)), gif((1918, 1280))
    for folder in ("train", "train_masks"):
        (tmp_path / folder).mkdir()
    cars = [f"{number:04x}" for number in range(318)]
    (tmp_path / "first.jpg").write_bytes(picture)
    (tmp_path / "first.gif").write_bytes(mask)
    for image_id in (f"{car}_{view:02d}" for car in cars for view in range(1, 17)):
        os.link(tmp_path / "first.jpg", tmp_path / "train" / f"{image_id}.jpg")
        os.link(tmp_path / "first.gif", tmp_path / "train_masks" / f"{image_id}_mask.gif")
    (tmp_path / "metadata.csv").write_text("id\n" + "\n".join(cars), encoding="utf8")
    started = time.perf_counter()
    assert verify(tmp_path) == {"cars": 318, "images": 5088, "masks": 5088, "width": 1918, "height": 1280}
    assert time.perf_counter() - started < 30  # decoding all of them would take minutes


# ---------------------------------------------------------------- service


class Kaggle(http.server.BaseHTTPRequestHandler):
    """As api.kaggle.com does it: POST asks for a file and is sent on to a storage server, or refused."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((asked, self.headers["Authorization"]))
        if self.server.status != 302:
            body = json.dumps({"code": self.server.status, "message": "no"}).encode()
            self.answer(self.server.status, body, {"Content-Type": "application/json"})
        else:
            self.answer(302, b"", {"Location": f"http://storage.invalid/{asked['fileName']}?signature=x"})

    def do_GET(self):
        body = self.server.files[self.path.split("/")[-1].split("?")[0]]
        first = int((re.match(r"bytes=(\d+)-", self.headers["Range"] or "") or [0, 0])[1])
        self.server.fetched.append((self.path.split("/")[-1].split("?")[0], first, self.headers["Authorization"]))
        headers = {"Accept-Ranges": "bytes", "Last-Modified": "Thu, 27 Jul 2017 00:00:00 GMT"}
        self.answer(206 if first else 200, body[first:], headers, self.server.cut)

    def answer(self, status, body, headers, cut=None):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": len(body)}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:cut])
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def no_token(tmp_path, monkeypatch):
    """A home without Kaggle token, and no way out: kagglehub's 'LOCALHOST' service behind a proxy that is not there."""
    pytest.importorskip("kagglehub")
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_KERNEL_RUN_TYPE", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    settings = {
        "HOME": tmp_path / "home",
        "USERPROFILE": tmp_path / "home",
        "KAGGLEHUB_CACHE": tmp_path / "cache",
        "KAGGLE_CONFIG_DIR": tmp_path / "home" / ".kaggle",
        "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
    }
    proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"), "http://127.0.0.1:9")
    for name, value in {**settings, **proxies}.items():
        monkeypatch.setenv(name, str(value))
    (tmp_path / "home" / ".kaggle").mkdir(parents=True)


@pytest.fixture
def kaggle(no_token, monkeypatch, tmp_path):
    """The stand-in, as the proxy that every request of kagglehub goes to, and a token for it."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Kaggle) as server:
        server.status, server.asked, server.fetched, server.cut = 302, [], [], None
        server.files = {file.name: file.read_bytes() for file in make_zips(tmp_path / "service")}
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("KAGGLE_API_TOKEN", "secret-token")
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


def test_download_fetches_unpacks_and_does_not_fetch_twice(kaggle, tmp_path, capfd):
    assert download.download(tmp_path / "data") == tmp_path / "data"
    assert verify(tmp_path / "data", **SMALL) == COUNTS and tree(tmp_path / "data") == WHOLE
    competition = "carvana-image-masking-challenge"
    assert kaggle.asked == [
        ({"competitionName": competition, "fileName": name}, "Bearer secret-token")
        for name in ("train.zip", "train_masks.zip", "metadata.csv.zip")
    ]
    assert {authorization for *_, authorization in kaggle.fetched} == {None}  # the storage never sees the token
    (tmp_path / "data" / "metadata.csv").unlink()
    size = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "cache").rglob("*.zip")}
    download.download(tmp_path / "data")
    assert size == {file.name: file.stat().st_mtime_ns for file in (tmp_path / "cache").rglob("*.zip")}
    assert tree(tmp_path / "data") == WHOLE
    assert "secret" not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    "status, words",
    [
        (401, ("token: ", "(401)", "wrong or expired", "https://www.kaggle.com/settings/api", "--from-zip")),
        (403, ("rules: ", "(403)", "https://www.kaggle.com/c/carvana-image-masking-challenge/rules", "accept")),
        (500, ("service: ", "500", "--from-zip")),
    ],
)
def test_a_refusal_names_the_step(kaggle, tmp_path, status, words):
    kaggle.status = status
    with pytest.raises(DataError) as caught:
        download.download(tmp_path / "data")
    message = str(caught.value)
    assert message.startswith(words[0]) and "train.zip" in message and all(word in message for word in words)
    assert "secret" not in message and "\n" not in message and not (tmp_path / "data").exists()


def test_an_unreachable_service_names_the_network(no_token, tmp_path, monkeypatch):
    monkeypatch.setenv("KAGGLE_API_TOKEN", "secret-token")
    with pytest.raises(DataError, match=r"^network: train\.zip .*\(ProxyError\); check the connection"):
        download.download(tmp_path / "data")


def test_a_broken_connection_names_the_network_and_a_rerun_goes_on(kaggle, tmp_path):
    train = tmp_path / "service" / "train.zip"
    make_zip(train, content("train")["train.zip"] | {"__MACOSX/x": random.Random(0).randbytes(2_000_000)})
    kaggle.files["train.zip"], kaggle.cut = train.read_bytes(), 1_500_000
    with pytest.raises(DataError, match=r"^network: train\.zip is not here whole"):
        download.download(tmp_path / "data")
    kaggle.cut = None
    kaggle.fetched.clear()
    download.download(tmp_path / "data")
    assert ("train.zip", 1024**2, None) in kaggle.fetched  # kagglehub writes by the MiB
    assert tree(tmp_path / "data") == WHOLE


def test_a_full_disk_while_fetching_names_the_disk(kaggle, tmp_path):
    (tmp_path / "cache").write_text("a file where the cache folder should be", encoding="utf8")
    with pytest.raises(DataError, match=r"^disk: cannot store train\.zip: .*KAGGLEHUB_CACHE"):
        download.download(tmp_path / "data")


def test_a_web_page_instead_of_the_zip_is_named(kaggle, tmp_path):
    kaggle.files["train_masks.zip"] = b"<html>Sign in to this hotel</html>"
    with pytest.raises(DataError, match=r"unpack: .*train_masks\.zip is missing or no whole zip .*delete it"):
        download.download(tmp_path / "data")
    next((tmp_path / "cache").rglob("train_masks.zip")).unlink()  # what the sentence says
    kaggle.files = {file.name: file.read_bytes() for file in make_zips(tmp_path / "service")}
    download.download(tmp_path / "data")
    assert tree(tmp_path / "data") == WHOLE


def test_no_token_is_said_before_anything_is_asked(kaggle, tmp_path, monkeypatch):
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    with pytest.raises(DataError, match="^token: no Kaggle token on this machine; .*settings/api.*--from-zip"):
        download.download(tmp_path / "data")
    assert not kaggle.asked and not kaggle.fetched


@pytest.mark.parametrize("place", ["kaggle.json", "access_token", "environment"])
def test_every_place_of_a_token_counts(kaggle, tmp_path, monkeypatch, place):
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    if place == "environment":
        monkeypatch.setenv("KAGGLE_USERNAME", "me")
        monkeypatch.setenv("KAGGLE_KEY", "secret")
    else:
        text = '{"username": "me", "key": "secret"}' if place == "kaggle.json" else "secret-token\n"
        (tmp_path / "home" / ".kaggle" / place).write_text(text, encoding="utf8")
    download.download(tmp_path / "data")
    assert kaggle.asked[0][1].startswith("Bearer " if place == "access_token" else "Basic ")


@pytest.mark.parametrize("token", ["secret token", "secret\n", "secret…", "secret" * 1000])
def test_a_damaged_token_is_named_but_not_shown(kaggle, tmp_path, monkeypatch, token):
    monkeypatch.setenv("KAGGLE_API_TOKEN", token)
    with pytest.raises(DataError, match="^token: the Kaggle token here (holds|cannot be read)") as caught:
        download.download(tmp_path / "data")
    assert "secret" not in str(caught.value) and not kaggle.asked


@pytest.mark.parametrize("text", ["{", '{"username": "me"}', "[]", "7", "secret"])
def test_a_damaged_kaggle_json_is_named(no_token, tmp_path, text):
    (tmp_path / "home" / ".kaggle" / "kaggle.json").write_text(text, encoding="utf8")
    with pytest.raises(DataError, match="^token: the Kaggle token here cannot be read") as caught:
        download.check_token()
    assert "secret" not in str(caught.value)
