import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from carvana_course.deployment import submission
from carvana_course.deployment.submission import rle_decode, rle_encode
from carvana_lib import DataError, RunError

PHOTOS = [f"car_{i:02d}.jpg" for i in range(5)]
MASKS = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.integers(0, 1))


@given(MASKS)
def test_round_trip(mask):
    rle = rle_encode(mask)
    found = rle_decode(rle, *mask.shape)
    assert found.dtype == np.uint8 and (found == mask).all()
    assert rle_encode(mask * 255) == rle_encode(mask.astype(bool)) == rle_encode(np.asfortranarray(mask)) == rle


@given(MASKS)
def test_the_code_is_the_competitions(mask):
    """Against a plain reading of its rules, pixel by pixel."""
    runs, previous = [], 0
    for number, pixel in enumerate(mask.flatten().tolist(), 1):
        if pixel and not previous:
            runs.append([number, 0])
        if pixel:
            runs[-1][1] += 1
        previous = pixel
    assert rle_encode(mask) == " ".join(f"{start} {length}" for start, length in runs)


def test_pixels_are_numbered_from_one_from_left_to_right_and_then_down():
    mask = np.zeros((3, 4), np.uint8)
    mask[0, 0] = mask[1, 2:] = mask[2, 0] = 1
    assert rle_encode(mask) == "1 1 7 3"  # a run goes on in the next row
    assert rle_encode(np.zeros((3, 4))) == "" and rle_encode(np.ones((3, 4))) == "1 12"
    assert rle_decode("", 3, 4).sum() == 0 and rle_decode("1 12", 3, 4).sum() == 12
    assert rle_decode("1 2 3 4", 3, 4).sum() == 6  # runs that touch


@pytest.mark.parametrize(
    ("rle", "words"),
    [
        ("1 2 3", "3 numbers"),
        ("1 x", "whole numbers"),
        ("1.5 2", "whole numbers"),
        (f"{10**30} 1", "whole numbers"),
        ("0 2", "leaves 4x3 pixels"),
        ("12 2", "leaves"),
        ("13 1", "leaves"),
        ("-3 1", "leaves"),
        ("2 0", "leaves"),
        (f"{2**63 - 1} {2**63 - 1}", "leaves"),
        ("1 3 3 2", "overlap"),
        ("5 1 1 1", "not in order"),
    ],
)
def test_wrong_codes_are_refused_in_one_sentence(rle, words):
    with pytest.raises(DataError, match=words) as caught:
        rle_decode(rle, 3, 4)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("nothing", [float("nan"), None])
def test_what_pandas_makes_of_an_empty_mask_is_explained(nothing):
    with pytest.raises(DataError, match=f"^{nothing} is no run-length code; read the CSV with keep_default_na=False"):
        rle_decode(nothing, 3, 4)


@pytest.mark.parametrize("shape", [(3, 4, 3), (1, 3, 4), (12,), ()])
def test_only_one_picture_is_encoded(shape):
    with pytest.raises(DataError, match=r"a mask is \(H, W\), but this array is \("):
        rle_encode(np.ones(shape, np.uint8))


@pytest.mark.parametrize("value", [0.2, 255.0, np.nan])
def test_probabilities_are_not_taken_for_a_mask(value):
    with pytest.raises(DataError, match="fractions is no mask; cut probabilities at a threshold"):
        rle_encode(np.full((3, 4), value, np.float32))


def disk(i):
    y, x = np.mgrid[:24, :36]
    return ((x - 18) ** 2 + (y - 12) ** 2 < i * i).astype(np.uint8)


@pytest.fixture
def masks(tmp_path):
    """Five masks of a growing disk, the first of them empty; PNG of 0 and 255, and GIF of 0 and 1."""
    folder = tmp_path / "masks"
    folder.mkdir()
    for i in range(5):
        if i % 2:
            gif = Image.fromarray(disk(i), "P")
            gif.putpalette([0, 0, 0, 255, 255, 255])
            gif.save(folder / f"car_{i:02d}_mask.gif")
        else:
            Image.fromarray(disk(i) * 255).save(folder / f"car_{i:02d}_mask.png")
    (folder / ".car_00_mask.png.x.png").write_text("left by a killed run")
    return folder


@pytest.mark.parametrize("name", ["submission.csv", "submission.csv.gz"])
def test_a_folder_becomes_the_file_that_its_masks_make(masks, tmp_path, name):
    path = tmp_path / "new" / name
    photos = ["car_04.png", "car_01.JPG", "car_02.webp", "car_00.jpg"]  # car_03 has a mask, but its photo is gone
    assert submission.write_submission(photos, masks, path) == 4
    content = (gzip.decompress if name.endswith("gz") else bytes)(path.read_bytes()).decode()
    lines = [f"{photo},{rle_encode(disk(int(photo[4:6])))}" for photo in photos]
    assert content == "\n".join(["img,rle_mask", *lines, ""])
    again = tmp_path / f"again-{name}"
    submission.write_submission(photos, masks, again)
    assert again.read_bytes() == path.read_bytes()  # gzip without time and name


def test_two_masks_of_one_photo_are_refused(masks, tmp_path):
    (masks / "car_02_mask.gif").write_bytes((masks / "car_01_mask.gif").read_bytes())
    for use in (
        lambda: submission.write_submission(PHOTOS, masks, tmp_path / "s.csv"),
        lambda: submission.score_submission("", masks),
    ):
        with pytest.raises(DataError, match="car_02_mask.gif and car_02_mask.png, two masks of one picture"):
            use()
    assert not (tmp_path / "s.csv").exists()


def test_masks_are_taken_one_at_a_time(tmp_path):
    sizes = []

    def rows():
        for i in range(2000):
            if i in (0, 1000):
                sizes.extend(path.stat().st_size for path in tmp_path.iterdir())
            yield f"{i}.jpg", rle_encode(disk(i % 5))

    submission.write_rows(rows(), tmp_path / "submission.csv")
    assert sizes[0] == 0 < sizes[1] < (tmp_path / "submission.csv").stat().st_size  # written as they come


def test_a_failure_leaves_what_was_there(masks, tmp_path):
    path = tmp_path / "submission.csv"
    submission.write_submission(PHOTOS, masks, path)
    before = path.read_bytes()
    (masks / "car_03_mask.gif").write_bytes(b"GIF89a")
    with pytest.raises(DataError, match="car_03_mask.gif cannot be read"):
        submission.write_submission(PHOTOS, masks, path)
    assert path.read_bytes() == before and [f.name for f in tmp_path.iterdir() if f.name.startswith(".")] == []
    with pytest.raises(DataError, match="lacks the masks of 2 of 3 photos, first car_05.jpg; run predict first"):
        submission.write_submission(["car_00.jpg", "car_05.jpg", "car_06.jpg"], masks, path)
    with pytest.raises(RunError, match="cannot write"):
        submission.write_rows([("a.jpg", "")], path / "below a file.csv")


def test_the_score_is_mean_dice_at_native_size(masks, tmp_path):
    path = tmp_path / "submission.csv.gz"
    submission.write_submission(PHOTOS, masks, path)
    assert submission.score_submission(path, masks).tolist() == [1.0] * 5  # the first is empty on both sides
    submission.write_rows(((f"car_{i:02d}.jpg", rle_encode(disk(max(i - 1, 0)))) for i in range(5)), path)
    found = submission.score_submission(path, masks)
    for i in range(1, 5):
        said, truth = disk(i - 1), disk(i)
        assert found[f"car_{i:02d}.jpg"] == pytest.approx(2 * (said & truth).sum() / (said.sum() + truth.sum()))
    assert list(found.index) == [f"car_{i:02d}.jpg" for i in range(5)]


def test_a_submission_that_does_not_fit_is_refused(masks, tmp_path):
    good = [(f"car_{i:02d}.jpg", rle_encode(disk(i))) for i in range(5)]
    faults = {
        "lacks 1 of 5 pictures, first car_04": good[:4],
        "two rows for car_00.jpg": [*good, good[0]],
        "row for other.jpg": [*good, ("other.jpg", "")],
        "car_04.jpg: a run": [*good[:4], ("car_04.jpg", "1 2500")],
    }
    for words, rows in faults.items():
        submission.write_rows(rows, tmp_path / "s.csv")
        with pytest.raises(DataError, match=words):
            submission.score_submission(tmp_path / "s.csv", masks)
    contents = {
        "other.csv": b"a,b\n1,2\n",
        "empty.csv": b"",
        "binary.csv": bytes(range(256)),
        "cut.csv.gz": gzip.compress(b"img,rle_mask\n" * 99)[:-9],
        "plain.csv.gz": b"img,rle_mask\n",
        "short.csv": b"img,rle_mask\ncar_00.jpg\n",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=name):
            submission.score_submission(tmp_path / name, masks)
    with pytest.raises(DataError, match="none.csv"):
        submission.score_submission(tmp_path / "none.csv", masks)


def test_real_masks_survive(real, tmp_path):
    folder = real / "carvana-native" / "train_masks"
    photos = sorted(path.name for path in (real / "carvana-native" / "train").iterdir())
    assert submission.write_submission(photos, folder, tmp_path / "s.csv.gz") == 32
    assert (submission.score_submission(tmp_path / "s.csv.gz", folder) == 1).all()
