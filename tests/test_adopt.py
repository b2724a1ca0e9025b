"""Folders of one's own: looked at, adopted, trained on; and every way in which they are not as they should be."""

import base64
import importlib.util
import io
import json
import re
import resource
import shlex
import shutil
import subprocess
import sys
import unicodedata

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, write_pair
from PIL import Image
from typer.testing import CliRunner

from carvana_course.adopt import polygons
from carvana_course.adopt.annotations import Annotation, Shape
from carvana_course.adopt.convert import adopt_folder
from carvana_course.adopt.groups import unique_name
from carvana_course.adopt.pairing import photo_keys
from carvana_course.adopt.survey import contradict, survey_folder
from carvana_course.cli import app, join_pairs
from carvana_lib import DataError, ParameterError, RunError
from carvana_lib.config import Params
from carvana_lib.data import open_data
from carvana_lib.reading import read_mask, read_photo

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # in pycocotools
SIZE = (48, 32)  # width, height
BOX = [8, 6, 28, 6, 28, 20, 8, 20]  # 20 x 14 pixels
DRAWN = np.zeros((32, 48), np.uint8)
DRAWN[6:20, 8:28] = 1


def photo(seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (32, 48, 3), dtype=np.uint8))


def mask() -> Image.Image:
    return Image.fromarray(255 * DRAWN)


@pytest.fixture
def own(tmp_path):
    """(images, masks, target): four photos as a camera names them, with their masks; no target yet."""
    images, masks = tmp_path / "own" / "images", tmp_path / "own" / "masks"
    images.mkdir(parents=True)
    masks.mkdir()
    for number in range(1, 5):
        photo(number).save(images / f"IMG_010{number}.jpg")
        mask().save(masks / f"IMG_010{number}.png")
    return images, masks, tmp_path / "data" / "mine"


def contents(folder) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def problems(adopted) -> dict[str, str]:
    names = pd.read_csv(adopted.target / "names.csv", dtype=str, keep_default_na=False)
    assert list(names) == ["file", "id", "group", "area", "problem"]
    assert ((names["problem"] == "") == (names["id"] != "")).all()
    return dict(zip(names["file"], names["problem"], strict=True))


def written(adopted) -> dict[str, np.ndarray]:
    folder = adopted.target / "train_masks"
    return {path.name.removesuffix("_mask.png"): read_mask(path) for path in sorted(folder.iterdir())}


def call(*words) -> str:
    done = CliRunner().invoke(app, join_pairs([str(word) for word in words]), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_from_an_unknown_folder_to_a_first_training_in_three_commands(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("thirty_photos", ROOT / "scripts" / "thirty_photos.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.write_photos(tmp_path / "mugs")
    before = contents(tmp_path / "mugs")
    monkeypatch.chdir(tmp_path)
    said = call("look", "mugs")
    assert "photos: 30, in mugs/photos; .jpg (30)" in said and "named like mug##_# (30)" in said
    assert "pairs of photo and mask: 30" in said and "10 groups of 3 photos each, such as 'mug01'" in said
    sheet = read_photo(tmp_path / "mugs-look.jpg")
    is_orange = (sheet[..., 0] > 150) & (sheet[..., 2] < 60)
    assert sheet.shape[1] > 700 and 0.02 < is_orange.mean() < 0.2
    (line,) = re.findall(r"adopt it with: carvana (.*)", said)
    said = call(*shlex.split(line))
    assert "30 photos adopted, 0 files left out" in said and "10 groups of 3 photos each" in said
    assert re.search(r"object, in % of the picture: least 1\d\S*, median 1\d\S*, most 1\d", said)
    (line,) = re.findall(r"a first training: carvana (.*)", said)
    small = "-p epochs 1 -p image_size 32 -p base_channels 4 -p device cpu -p precision float32"
    assert "best val mIoU" in call(*shlex.split(f"{line} {small}"))
    assert contents(tmp_path / "mugs") == before, "what a person has is only read"
    data = open_data(Params(data_dir=str(tmp_path / "data" / "mugs"), image_size=32))
    assert len(data.table) == 30 and data.table.groupby("car_id")["split"].nunique().max() == 1


def test_the_camera_numbers_of_a_carvana_like_folder_lead_to_look(tmp_path):
    for number in range(1, 5):
        write_pair(tmp_path, f"IMG_010{number}", seed=number)
    with pytest.raises(DataError, match=f"'carvana look {tmp_path}'"):
        open_data(Params(data_dir=str(tmp_path), image_size=32))
    survey = survey_folder(tmp_path)
    adopted = adopt_folder(survey.images, survey.masks, tmp_path.parent / "adopted")
    assert len(open_data(Params(data_dir=str(adopted.target), image_size=32)).table) == 4


def test_names_ids_and_bytes(own):
    images, masks, target = own
    adopted = adopt_folder(images, masks, target)
    assert sorted(path.name for path in (target / "train").iterdir()) == [f"IMG-010{n}_01.jpg" for n in range(1, 5)]
    assert (target / "train" / "IMG-0102_01.jpg").read_bytes() == (images / "IMG_0102.jpg").read_bytes()
    assert all((one == DRAWN).all() for one in written(adopted).values())
    names = pd.read_csv(target / "names.csv")
    assert names["area"].tolist() == [round(DRAWN.mean(), 6)] * 4 and names["group"].tolist()[0] == "IMG-0101"
    assert any("each photo is its own group" in line for line in adopted.lines())


def test_photos_are_upright_and_of_eight_bits(own):
    images, masks, target = own
    turned = Image.Exif()
    turned[0x0112] = 6
    photo().transpose(Image.Transpose.ROTATE_90).save(images / "IMG_0101.jpg", exif=turned, quality=95)
    grey = np.arange(32 * 48, dtype=np.uint16).reshape(32, 48) * 42
    (images / "IMG_0102.jpg").unlink()
    Image.fromarray(grey).save(images / "IMG_0102.png")
    (images / "IMG_0103.jpg").unlink()
    photo(3).save(images / "IMG_0103.png")
    adopt_folder(images, masks, target)
    first = Image.open(target / "train" / "IMG-0101_01.png")
    assert first.size == SIZE and (np.asarray(first) == read_photo(images / "IMG_0101.jpg")).all()
    assert (read_photo(target / "train" / "IMG-0102_01.png")[..., 0] == grey >> 8).all()
    assert (target / "train" / "IMG-0103_01.png").read_bytes() == (images / "IMG_0103.png").read_bytes()


def test_groups_keep_photos_of_one_object_together(own):
    images, masks, target = own
    for number in range(1, 121):
        photo().save(images / f"red_mug-{number}.png")
        mask().save(masks / f"red_mug-{number}.png")
    adopted = adopt_folder(images, masks, target, group=r"^(red.mug|IMG)")
    names = adopted.names.set_index("file")
    assert set(names["group"]) == {"red-mug", "IMG"}
    assert names.loc["red_mug-9.png", "id"] == "red-mug_009" and names.loc["red_mug-120.png", "id"] == "red-mug_120"
    assert "2 groups of 4 to 120 photos" in adopted.lines()
    assert any("at least three groups" in line for line in adopted.lines())


def test_what_a_group_pattern_leaves_over_has_its_row(own):
    images, masks, target = own
    photo().save(images / "other.jpg")
    mask().save(masks / "other.png")
    found = problems(adopt_folder(images, masks, target, group=r"^(IMG_\d+)"))
    assert found["other.jpg"].startswith("--group '^(IMG_\\d+)' does not fit its name") and found["IMG_0101.jpg"] == ""


@pytest.mark.parametrize(
    ("options", "reason"),
    {
        ("group", "^(x.*)"): "fits no photo, such as 'IMG_0101'",
        ("group", "IMG"): "has 0 groups in brackets; put one pair",
        ("group", "(a)(b)"): "has 2 groups in brackets",
        ("group", "("): "is no regular expression: missing",
        ("colour", "red"): "--colour 'red' is no colour; write",
        ("classes", ("car",)): "--class is for annotations, and these masks are pictures",
    }.items(),
)
def test_an_option_that_cannot_be_meant(own, options, reason):
    images, masks, target = own
    with pytest.raises(ParameterError, match=re.escape(reason)):
        adopt_folder(images, masks, target, **dict([options]))
    assert not target.parent.exists()


def test_a_target_that_holds_something_or_lies_among_the_photos_is_refused(own):
    images, masks, target = own
    for place in (images / "new", masks, images / ".." / "masks" / "new"):
        with pytest.raises(ParameterError, match="lies in .*, which is only read"):
            adopt_folder(images, masks, place)
    target.mkdir(parents=True)
    adopt_folder(images, masks, target)  # an empty folder is no loss
    before = contents(target)
    with pytest.raises(ParameterError, match=f"--target {target} exists already; give a new name"):
        adopt_folder(images, masks, target)
    assert contents(target) == before


def test_what_concerns_one_photo_is_in_its_row_and_stops_no_other(own):
    images, masks, target = own
    photo().save(images / "IMG_0101.png")
    photo().save(images / "alone.jpg")
    mask().save(masks / "lost.png")
    mask().save(masks / "IMG_0102_mask.png")
    (images / "notes.txt").write_text("hello")
    (images / "IMG_0103.jpg").write_bytes((images / "IMG_0103.jpg").read_bytes()[:-200])
    for name, picture in {"small": mask().resize((24, 16), 0), "soft": Image.linear_gradient("L").resize(SIZE)}.items():
        photo().save(images / f"{name}.jpg")
        picture.save(masks / f"{name}.png")
    adopted = adopt_folder(images, masks, target)
    found = problems(adopted)
    twice = "2 photos of one name: IMG_0101.jpg, IMG_0101.png; keep or rename one"
    assert found["IMG_0101.jpg"] == found["IMG_0101.png"] == twice
    assert found["alone.jpg"] == "photo without mask; add one of its name"
    assert found["lost.png"] == "mask without photo; add the photo, or remove this"
    assert found["IMG_0102.jpg"] == "2 masks of one photo: IMG_0102.png, IMG_0102_mask.png; keep one"
    assert found["IMG_0103.jpg"].startswith("IMG_0103.jpg is not a readable picture (image file is truncated")
    assert found["small.jpg"] == "mask is 24x16, photo is 48x32 when upright; make the mask at that size"
    assert found["soft.jpg"].startswith("soft.png: 32 values instead of two") and "--threshold" in found["soft.jpg"]
    assert found["notes.txt"].startswith("no picture: unknown ending '.txt'") and found["IMG_0104.jpg"] == ""
    assert sum("left out: " in line for line in adopted.lines()) == 6 and len(written(adopted)) == 1


def test_photos_of_one_name_in_two_folders_need_masks_in_two_folders(own):
    images, masks, target = own
    for day in ("monday", "tuesday"):
        (images / day).mkdir()
        photo().save(images / day / "a.jpg")
    mask().save(masks / "a.png")
    found = problems(adopt_folder(images, masks, target))
    assert found["monday/a.jpg"].startswith(
        "2 photos of one name for a.png: monday/a.jpg, tuesday/a.jpg; put each mask"
    )
    (masks / "a.png").unlink()
    for day in ("monday", "tuesday"):
        (masks / day).mkdir()
        mask().save(masks / day / "a_mask.png")
    adopted = adopt_folder(images, masks, target.with_name("again"))
    assert not any(problems(adopted).values()) and {"monday-a_01", "tuesday-a_01"} <= written(adopted).keys()


def test_a_mask_of_another_folder_is_no_mask_of_a_photo_of_its_name(own):
    """The counter of a camera begins anew each day; monday's third mask is missing, and so is tuesday's third photo."""
    images, masks, target = own
    for day, photos, drawn in (("monday", (1, 2, 3), (1, 2)), ("tuesday", (1, 2), (1, 2, 3))):
        (images / day).mkdir()
        (masks / day).mkdir()
        for number in photos:
            photo(number).save(images / day / f"DSC_{number}.jpg")
        for number in drawn:
            mask().save(masks / day / f"DSC_{number}.png")
    found = problems(adopt_folder(images, masks, target))
    assert found.pop("monday/DSC_3.jpg").startswith("photo without mask: 'tuesday/DSC_3.png' has its name, in another")
    assert found.pop("tuesday/DSC_3.png").startswith("mask without photo: 'monday/DSC_3' has its name, in another")
    assert len(found) == 8 and not any(found.values())
    for day in ("monday", "tuesday"):
        shutil.rmtree((images if day == "tuesday" else masks) / day)  # photos of one day, masks of another
    found = problems(adopt_folder(images, masks, target.with_name("again")))
    assert sum("in another folder" in problem for problem in found.values()) == 6
    done = CliRunner().invoke(app, ["look", str(images.parent)])
    assert "no pair: monday/DSC_1.jpg: photo without mask: 'tuesday/DSC_1.png' has its name" in done.output
    for path in [*images.glob("IMG*"), *masks.glob("IMG*")]:
        path.unlink()
    assert "these folders seem to be of different photos" in call("look", images.parent)


def test_folders_called_after_photos_and_masks_are_no_days(own):
    images, _, target = own
    for part in ("train", "val"):
        for kind in ("images", "masks"):
            place = images.parent / "parts" / part / kind
            place.mkdir(parents=True)
            for number in (1, 2):
                (photo(number) if kind == "images" else mask()).save(place / f"{number}.png")
    root = images.parent / "parts"
    survey = survey_folder(root)
    assert (survey.images, survey.masks, len(survey.pairs)) == (root, root, 4)
    mask().save(root / "val" / "masks" / "3.png")
    adopted = adopt_folder(root, root, target)
    left = {file: problem for file, problem in problems(adopted).items() if problem}
    assert left == {"val/masks/3.png": "mask without photo; add the photo, or remove this"}
    assert len(written(adopted)) == 4


def test_look_pairs_no_masks_of_another_part(own):
    """Only what is in val has masks, and train has more photos of the same names."""
    images, masks, _ = own
    root = images.parent / "parts"
    for number in range(1, 5):
        for part in ("train", "val")[: 2 if number < 3 else 1]:
            place = root / part / "images"
            place.mkdir(parents=True, exist_ok=True)
            photo(number).save(place / f"{number}.png")
    (root / "val" / "masks").mkdir()
    for number in (1, 2):
        mask().save(root / "val" / "masks" / f"{number}.png")
    survey = survey_folder(root)
    assert [candidate.file for candidate in survey.pairs] == ["val/images/1.png", "val/images/2.png"]
    assert not any(line.startswith("warning") for line in survey.lines)


@pytest.mark.parametrize(
    ("images", "masks", "expected"),
    [
        ("i", "m", False),
        ("i/monday", "m/tuesday", True),
        ("i/monday", "m/monday", False),
        ("train/images", "val/masks", True),
        ("train_images", "val_masks", True),
        ("train", "train_masks", False),
        ("JPEGImages", "SegmentationClass", False),
        ("a", "a/masks", False),
        ("a", "a", False),
        ("images/monday", "masks", False),
    ],
)
def test_folders_that_contradict(tmp_path, images, masks, expected):
    for name in (images, masks):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
    assert contradict(tmp_path / images, tmp_path / masks) is expected


def test_a_photo_may_have_a_word_of_its_own(own):
    images, masks, target = own
    for path in images.iterdir():
        path.rename(path.with_name(f"image_{path.stem[-1]}.jpg"))
    for path in masks.iterdir():
        path.rename(path.with_name(f"mask_{path.stem[-1]}.png"))
    assert not any(problems(adopt_folder(images, masks, target)).values())
    for path in masks.iterdir():
        shutil.copy(path, images)
    assert len(survey_folder(images).pairs) == 4


def test_letters_of_two_code_points_are_those_of_one(own):
    images, masks, target = own
    photo().save(images / unicodedata.normalize("NFD", "Größe.jpg"))
    mask().save(masks / unicodedata.normalize("NFC", "Größe.png"))
    assert not any(problems(adopt_folder(images, masks, target, group="^(Größe|IMG)")).values())


def test_one_folder_for_both_tells_what_it_lacks(own):
    images, _, target = own
    with pytest.raises(DataError, match="given for photos and masks, and no file tells by its name which; name the"):
        adopt_folder(images, images, target)
    empty = images.parent / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="holds no photos that can be read"):
        adopt_folder(empty, empty, target)


def test_masks_may_lie_among_the_photos_or_in_a_folder_of_theirs(own):
    images, masks, target = own
    above = adopt_folder(images.parent, masks, target.with_name("above"))
    assert not any(problems(above).values()) and len(above.names) == 4
    for path in masks.iterdir():
        shutil.copy(path, images / f"{path.stem}_mask.png")
    assert not any(problems(adopt_folder(images, images, target)).values())


def test_a_folder_of_nothing_usable_leaves_nothing(own, tmp_path):
    images, masks, target = own
    for path in masks.iterdir():
        path.rename(path.with_name(f"x{path.name}"))
    with pytest.raises(DataError, match="none of 8 files can be used; the first, IMG_0101.jpg: photo without mask"):
        adopt_folder(images, masks, target)
    assert list(target.parent.iterdir()) == []
    for wrong, reason in {images / "no": "is no folder", images / "IMG_0101.jpg": "is no file of annotations"}.items():
        with pytest.raises(DataError, match=reason):
            adopt_folder(images, wrong, target)
    with pytest.raises(DataError, match="holds no photos"):
        adopt_folder(target.parent, masks, tmp_path / "x")


def test_photos_without_the_object_are_kept_and_told(own):
    images, masks, target = own
    Image.new("L", SIZE).save(masks / "IMG_0104.png")
    adopted = adopt_folder(images, masks, target)
    assert not written(adopted)["IMG-0104_01"].any()
    assert "1 photos show no object; training leaves them out, unless you add -p keep_empty true" in adopted.lines()
    params = Params(data_dir=str(target), image_size=32)
    assert len(open_data(params).table) == 3 and len(open_data(params.replace(keep_empty=True)).table) == 4


def test_photos_that_all_look_alike_name_the_parameter_that_joined_them(own):
    images, masks, target = own
    for path in images.iterdir():
        photo().save(path)
    adopt_folder(images, masks, target)
    params = Params(data_dir=str(target), image_size=32, group_duplicates=True)
    with pytest.raises(DataError, match="group_duplicates joined look-alikes into 1; set it to false, or add other"):
        open_data(params)


def test_inverted_masks_show_in_the_print(own):
    images, masks, target = own
    for path in masks.iterdir():
        Image.fromarray(255 * (1 - DRAWN)).save(path)
    assert (
        "more than half of a typical picture is object: are the masks inverted?"
        in adopt_folder(images, masks, target).lines()
    )


def three_colours(object_colour=(128, 0, 0)) -> Image.Image:
    """Object in a ring of 'ignore', on black, as a palette whose indices say nothing."""
    indices = np.full((32, 48), 7, np.uint8)
    indices[4:22, 6:30] = 2
    indices[DRAWN > 0] = 5
    picture = Image.fromarray(indices, "P")
    palette = np.zeros((256, 3), np.uint8)
    palette[2] = 224, 224, 192
    palette[5] = object_colour
    picture.putpalette(palette.ravel().tolist())
    return picture


def test_of_several_colours_one_is_chosen_by_name_and_never_guessed(own):
    images, masks, target = own
    for path in masks.iterdir():
        three_colours().save(path)
    with pytest.raises(DataError, match="IMG_0101.png: 3 values instead of two; .* or --colour"):
        adopt_folder(images, masks, target)
    with pytest.raises(DataError, match="no mask holds --colour 00ff00; the first hold 000000, .*800000"):
        adopt_folder(images, masks, target, colour="00ff00")
    with pytest.raises(ParameterError, match="--colour and --threshold are two ways"):
        adopt_folder(images, masks, target, colour="800000", threshold=9)
    adopted = adopt_folder(images, masks, target, colour="#800000")
    assert all((one == DRAWN).all() for one in written(adopted).values())
    survey = survey_folder(images.parent)
    assert "--colour 800000" in survey.command("x") and any("a guess" in line for line in survey.lines)


def classed(value: int, mode: str = "L") -> Image.Image:
    """The object in a grey of its own, or in one of three colours, on black."""
    colours = {1: (128, 0, 0), 2: (0, 128, 0), 3: (0, 0, 128)}
    if mode == "L":
        return Image.fromarray(value * DRAWN)
    return Image.fromarray(DRAWN[..., None] * np.uint8(colours[value]))


@pytest.mark.parametrize(("mode", "first"), [("L", "010101"), ("RGB", "800000")])
def test_an_object_that_differs_from_mask_to_mask_is_not_taken_for_one(own, mode, first):
    images, masks, target = own
    for number, value in enumerate((1, 1, 1, 2), 1):
        classed(value, mode).save(masks / f"IMG_010{number}.png")
    reason = rf"the object differs from mask to mask, {first} \(3\), .* as in the mask of IMG_0104.jpg; --colour says"
    with pytest.raises(DataError, match=reason):
        adopt_folder(images, masks, target)
    assert list(target.parent.iterdir()) == []
    survey = survey_folder(images.parent)
    assert survey.command("x").endswith(f"--colour {first}")
    assert any(line.startswith("not read as they are: the object differs") for line in survey.lines)
    adopted = adopt_folder(images, masks, target, colour=first)
    assert (adopted.names["area"].astype(float) > 0).tolist() == [True, True, True, False]
    assert (adopt_folder(images, masks, target.with_name("all"), threshold=1).names["area"].astype(float) > 0).all()


def test_white_that_is_nearly_white_and_what_transparency_shows_are_one_object(own):
    images, masks, target = own
    Image.fromarray(254 * DRAWN).save(masks / "IMG_0101.png")
    for number, colour in ((2, "red"), (3, "blue")):
        cut_out = Image.new("RGBA", SIZE, colour)
        cut_out.putalpha(mask())
        cut_out.save(masks / f"IMG_010{number}.png")
    assert len(written(adopt_folder(images, masks, target))) == 4


def test_masks_of_one_bit_may_be_empty(own):
    images, masks, target = own
    for path in masks.iterdir():
        mask().convert("1").save(path)
    Image.new("1", SIZE).save(masks / "IMG_0102.png")
    Image.new("1", SIZE, 1).save(masks / "IMG_0103.png")
    found = written(adopt_folder(images, masks, target))
    assert [found[f"IMG-010{n}_01"].mean() for n in (2, 3)] == [0, 1] and (found["IMG-0101_01"] == DRAWN).all()


def test_a_colour_is_not_picked_from_what_blurs_or_hides_it(own):
    images, masks, target = own
    three_colours().convert("RGB").save(masks / "IMG_0101.jpg")
    (masks / "IMG_0101.png").unlink()
    see_through = Image.new("RGBA", SIZE, "white")
    see_through.putalpha(mask())
    see_through.save(masks / "IMG_0102.png")
    three_colours((255, 255, 255)).save(masks / "IMG_0103.png")
    found = problems(adopt_folder(images, masks, target, colour="ffffff"))
    assert found["IMG_0101.jpg"].startswith("IMG_0101.jpg: JPEG changes colours")
    assert "transparent pixels" in found["IMG_0102.jpg"] and found["IMG_0103.jpg"] == ""


def test_alpha_and_soft_masks(own):
    images, masks, target = own
    cut_out = Image.new("RGBA", SIZE, "white")
    cut_out.putalpha(mask())
    cut_out.save(masks / "IMG_0101.png")
    adopted = adopt_folder(images, masks, target)
    assert (written(adopted)["IMG-0101_01"] == DRAWN).all()
    for path in masks.iterdir():
        Image.linear_gradient("L").resize(SIZE).save(path)
    assert "--threshold 128" in survey_folder(images.parent).command("x")
    adopted = adopt_folder(images, masks, target.with_name("soft"), threshold=200)
    assert 0.1 < adopted.names["area"].astype(float).min() < 0.3


def shape(points, label="mug", kind="polygon", **more) -> dict:
    return {"label": label, "shape_type": kind, "points": np.reshape(points, (-1, 2)).tolist(), **more}


def labelme(*shapes, size=SIZE) -> dict:
    return {"version": "5", "shapes": list(shapes), "imageWidth": size[0], "imageHeight": size[1], "imagePath": "x"}


def png(array) -> str:
    Image.fromarray(array).save(buffer := io.BytesIO(), "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def annotate(own, *files) -> None:
    """JSON of labelme for IMG_0101 ... in the place of masks."""
    for path in own[1].iterdir():
        path.unlink()
    for number, content in enumerate(files, 1):
        text = content if isinstance(content, str) else json.dumps(content)
        (own[1] / f"IMG_010{number}.json").write_text(text)


def test_labelme_shapes_become_masks(own):
    circle = shape([24, 16, 24, 26], kind="circle")
    brush = shape([8, 6, 27, 19], kind="mask", mask=png(np.ones((14, 20), np.uint8)))
    annotate(
        own, labelme(shape(BOX)), labelme(shape([28, 20, 8, 6], kind="rectangle")), labelme(circle), labelme(brush)
    )
    found = written(adopt_folder(*own))
    for number in (1, 2, 4):
        assert (found[f"IMG-010{number}_01"] == DRAWN).all(), number
    y, x = np.mgrid[:32, :48] + 0.5
    assert np.mean(found["IMG-0103_01"] != (np.hypot(x - 24, y - 16) < 10)) < 0.01
    survey = survey_folder(own[0].parent)
    assert "classes: mug (4)" in survey.lines and "--class mug" in survey.command("x")


def test_several_classes_are_listed_and_chosen(own):
    both = labelme(shape(BOX), shape([0, 24, 48, 24, 48, 32, 0, 32], "table"))
    annotate(own, both, both, labelme(shape(BOX, "table")), labelme())
    with pytest.raises(ParameterError, match=r"have 2 classes, table \(3\), mug \(2\); say which .* --class NAME"):
        adopt_folder(*own)
    with pytest.raises(ParameterError, match="--class cup: no annotation has it; there are: table"):
        adopt_folder(*own, classes=("cup",))
    adopted = adopt_folder(*own, classes=("mug",))
    found = written(adopted)
    assert (found["IMG-0101_01"] == DRAWN).all() and not found["IMG-0103_01"].any() and not found["IMG-0104_01"].any()
    assert any(line.startswith("2 photos show no object") for line in adopted.lines())
    together = written(adopt_folder(*own[:2], own[2].with_name("all"), classes=("mug", "table")))
    assert together["IMG-0101_01"].sum() == DRAWN.sum() + 8 * 48


def test_labelme_says_of_which_photo_a_file_is(own):
    images, masks, target = own
    annotate(own)
    for number in range(1, 5):
        content = labelme(shape(BOX)) | {"imagePath": f"..\\images\\IMG_010{number}.jpg"}
        (masks / f"annotation{number}.json").write_text(json.dumps(content))
    assert not any(problems(adopt_folder(*own)).values())
    for number, said in enumerate(("", ".", "..", "a/.."), 5):
        photo().save(images / f"IMG_010{number}.jpg")
        (masks / f"IMG_010{number}.json").write_text(json.dumps(labelme(shape(BOX)) | {"imagePath": said}))
    (masks / "annotation1.json").rename(masks / "IMG_0101.json")  # its name and its text agree
    (masks / "annotation2.json").rename(masks / "IMG_0103.json")
    (masks / "annotation3.json").rename(masks / "IMG_0102.json")
    found = problems(adopt_folder(images, masks, target.with_name("again")))
    assert not any(found[f"IMG_010{number}.jpg"] for number in (1, 4, 5, 6, 7, 8))
    assert found["IMG_0102.jpg"].startswith("IMG_0102.json says in imagePath that it is of 'IMG_0103'; correct that")
    assert found["IMG_0103.jpg"].startswith("IMG_0103.json says in imagePath that it is of 'IMG_0102'; correct that")


def test_a_mask_of_labelme_may_be_of_one_bit(own):
    full = Image.new("1", (20, 14), 1)
    full.save(buffer := io.BytesIO(), "PNG")
    brush = shape([8, 6, 27, 19], kind="mask", mask=base64.b64encode(buffer.getvalue()).decode())
    annotate(own, labelme(brush))
    assert (written(adopt_folder(*own))["IMG-0101_01"] == DRAWN).all()


FAULTY = {  # what is wrong with an annotation -> what its row says
    "outside": (
        labelme(shape([8, 6, 60, 6, 60, 20])),
        "shape 1 reaches 12 pixels out of the picture of 48x32;",
    ),
    "crossing": (labelme(shape([8, 6, 28, 20, 28, 6, 8, 20])), "shape 1 crosses itself near (18, 13); correct it"),
    "twice around": (labelme(shape(BOX + BOX)), "shape 1 crosses itself near"),
    "two points": (labelme(shape([8, 6, 28, 20])), "shape 1 has only 2 points, where an outline needs three"),
    "flat": (labelme(shape([8, 6, 18, 6, 28, 6])), "shape 1 encloses no area"),
    "line": (labelme(shape([8, 6, 28, 20], kind="line")), "shape 1 is a line, which encloses nothing"),
    "no number": (labelme(shape([8, 6, float("nan"), 6, 28, 20])), "shape 1 has a point that is no number"),
    "other size": (labelme(shape(BOX), size=(96, 64)), "is for a photo of 96x64, this one is 48x32 when upright"),
    "broken": ('{"shapes": [\n', "is broken JSON: line 2: Expecting value; export it anew"),
    "another kind": ("[1, 2]", "is neither labelme's JSON (shapes) nor COCO's"),
    "not labelme's": ('{"shapes": [5]}', "is not as labelme writes it"),
    "no base64": (labelme(shape([8, 6, 28, 20], kind="mask", mask="!")), "shape 1 has a mask that cannot be read"),
}


def test_an_annotation_with_a_fault_is_named_with_the_remedy(own):
    images, _, target = own
    annotate(own)
    for number, (content, _) in enumerate(FAULTY.values()):
        photo().save(images / f"{number:02d}.jpg")
        (own[1] / f"{number:02d}.json").write_text(content if isinstance(content, str) else json.dumps(content))
    (own[1] / "IMG_0101.json").write_text(json.dumps(labelme(shape(BOX))))
    (own[1] / "gone.json").write_text(json.dumps(labelme(shape(BOX))))
    found = problems(adopt_folder(*own))
    for number, (name, (_, reason)) in enumerate(FAULTY.items()):
        said = found[f"{number:02d}.jpg"]
        assert said.startswith(f"{number:02d}.json") and reason in said and "\n" not in said, (name, said)
    assert found["gone.json"].startswith("annotation of 'gone' without photo; add") and found["IMG_0101.jpg"] == ""


def test_an_outline_that_only_touches_itself_is_taken(own):
    """A hole that is reached by a bridge, as exporters write it: outwards, over the bridge, around, and back."""
    ring = [0, 0, 40, 0, 40, 30, 0, 30, 0, 20, 10, 20, 30, 20, 30, 10, 10, 10, 10, 20, 0, 20]
    annotate(own, labelme(shape(ring)))
    assert written(adopt_folder(*own))["IMG-0101_01"].sum() == 40 * 30 - 20 * 10


def coco(annotations, pictures=4, **more) -> dict:
    images = [{"id": n, "file_name": f"a/IMG_010{n}.jpg", "width": 48, "height": 32} for n in range(1, pictures + 1)]
    numbered = [{"id": number, "category_id": 1, **one} for number, one in enumerate(annotations, 1)]
    return {"images": images, "annotations": numbered, "categories": [{"id": 1, "name": "mug"}], **more}


def runs_of(array) -> list[int]:
    """COCO's run lengths, down the columns, beginning with zeros."""
    flat = array.ravel(order="F")
    ends = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *ends, len(flat)]).tolist()
    return [0, *counts] if flat[0] else counts


def test_coco_polygons_and_run_lengths(own, tmp_path):
    from pycocotools import mask as library

    holed = DRAWN.copy()
    holed[10:15, 12:20] = 0
    packed = library.encode(np.asfortranarray(holed))["counts"].decode()
    other = [30, 22, 40, 22, 40, 30, 30, 30]
    content = coco(
        [
            {"image_id": 1, "segmentation": [BOX, other]},
            {"image_id": 2, "segmentation": {"size": [32, 48], "counts": runs_of(holed)}, "iscrowd": 1},
            {"image_id": 3, "segmentation": {"size": [32, 48], "counts": packed}},
            {"image_id": 3, "segmentation": [other]},
        ]
    )
    file = tmp_path / "instances.json"
    file.write_text(json.dumps(content))
    adopted = adopt_folder(own[0], file, own[2])
    found = written(adopted)
    parts = DRAWN.copy()
    parts[22:30, 30:40] = 1
    assert (found["IMG-0101_01"] == parts).all() and (found["IMG-0102_01"] == holed).all()
    assert (found["IMG-0103_01"] == np.where(holed, 1, parts - DRAWN)).all()
    assert not found["IMG-0104_01"].any() and any("1 photos show no object" in line for line in adopted.lines())


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        ({"segmentation": {"size": [32, 48], "counts": [30, 40]}}, "annotation 1 has run lengths that do not fill"),
        ({"segmentation": {"size": [32, 48], "counts": [0, 9999]}}, "annotation 1 has run lengths that do not fit"),
        ({"segmentation": {"size": [48, 32], "counts": [0, 1536]}}, "has run lengths for a size of [48, 32], not"),
        ({"segmentation": {"size": [32, 48], "counts": "34"}}, "annotation 1 has run lengths that do not fi"),
        ({"segmentation": {"size": [32, 48], "counts": "é"}}, "annotation 1 has broken run lengths"),
        ({"segmentation": {"counts": [0, 1536]}}, "annotation 1 "),
        ({"segmentation": []}, "annotation 1 is a box without outline, which encloses nothing"),
        ({"segmentation": [[1, 2, 3]]}, "annotation 1 is a polygon without pairs of numbers"),
        ({"segmentation": [BOX], "category_id": 9}, "annotation 1 is of a class that the file does not list; add it"),
    ],
)
def test_a_faulty_coco_annotation_leaves_its_photo_out_alone(own, tmp_path, annotation, reason):
    file = tmp_path / "instances.json"
    file.write_text(json.dumps(coco([{"image_id": 1, **annotation}, {"image_id": 2, "segmentation": [BOX]}])))
    found = problems(adopt_folder(own[0], file, own[2]))
    assert found["IMG_0101.jpg"].startswith("instances.json: ") and reason in found["IMG_0101.jpg"]
    assert found["IMG_0102.jpg"] == ""


def test_coco_without_a_photos_name_is_refused(own, tmp_path):
    content = coco([{"image_id": 1, "segmentation": [BOX]}])
    content["images"][2]["file_name"] = ""
    (tmp_path / "c.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="c.json is not as COCO writes it"):
        adopt_folder(own[0], tmp_path / "c.json", own[2])


def test_coco_of_photos_that_are_not_there(own, tmp_path):
    content = coco([{"image_id": n, "segmentation": [BOX]} for n in (1, 5, 77)], pictures=5)
    (tmp_path / "c.json").write_text(json.dumps(content))
    adopted = adopt_folder(own[0], tmp_path / "c.json", own[2])
    left = adopted.names.loc[adopted.names["problem"] != "", "problem"].tolist()
    assert left[0].startswith("annotation of 'a/IMG_0105' without photo; add the photo")
    assert left[1:] == ["annotation 3 is of picture 77, which the file does not list; export it anew"]
    (tmp_path / "c.json").write_text("{")
    with pytest.raises(DataError, match="c.json is broken JSON: line 1"):
        adopt_folder(own[0], tmp_path / "c.json", own[2].with_name("x"))


def test_ids_of_coco_that_are_there_twice_are_refused(own, tmp_path):
    """Two exports joined: each began to count at one."""
    file = tmp_path / "c.json"
    content = coco([{"image_id": n, "segmentation": [BOX]} for n in (1, 1, 2, 3)])
    content["images"][3]["id"] = 1
    file.write_text(json.dumps(content))
    found = problems(adopt_folder(own[0], file, own[2]))
    twice = "c.json has 2 pictures of the id 1; give each its own and export anew"
    assert found == {"IMG_0101.jpg": twice, "IMG_0102.jpg": "", "IMG_0103.jpg": "", "IMG_0104.jpg": twice}
    file.write_text(json.dumps(coco([], categories=[{"id": 1, "name": "mug"}, {"id": 1, "name": "plate"}])))
    with pytest.raises(DataError, match="c.json has two categories of the id 1, 'mug' and 'plate'; give each its own"):
        adopt_folder(own[0], file, own[2].with_name("x"))


@pytest.mark.parametrize("kind", [str, float])
def test_ids_of_coco_may_be_written_in_two_ways(own, tmp_path, kind):
    content = coco([{"image_id": kind(n), "segmentation": [BOX], "category_id": kind(1)} for n in range(1, 5)])
    (tmp_path / "c.json").write_text(json.dumps(content))
    adopted = adopt_folder(own[0], tmp_path / "c.json", own[2])
    assert all((one == DRAWN).all() for one in written(adopted).values()) and len(adopted.names) == 4
    (tmp_path / "c.json").write_text(json.dumps(coco([{"image_id": f"x{n}", "segmentation": [BOX]} for n in (1, 2)])))
    with pytest.raises(DataError, match="c.json: no annotation is of a picture that the file lists, by their ids"):
        adopt_folder(own[0], tmp_path / "c.json", own[2].with_name("x"))


def test_a_broken_file_among_annotations_says_what_it_is_and_comes_first(own):
    images, masks, target = own
    annotate(own)
    content = json.dumps(coco([{"image_id": n, "segmentation": [BOX]} for n in range(1, 5)]))
    (masks / "train.json").write_text(content)
    for number in range(10):
        photo(number).save(images / f"more{number}.jpg")
    (masks / "val.json").write_text(content[:300])
    lines = adopt_folder(*own).lines()
    assert lines[1].startswith("left out: val.json: val.json is broken JSON: line 1") and "more0.jpg" in lines[2]
    said = "\n".join(survey_folder(images.parent).lines)
    assert "pairs of photo and mask: 4" in said and "no pair: val.json: val.json is broken JSON" in said
    assert "no pair: 8 more files" in said


def test_libraries_for_outlines_are_asked_for_by_name(own, monkeypatch):
    annotate(own, labelme(shape(BOX)))
    monkeypatch.setitem(sys.modules, "shapely", None)
    with pytest.raises(ParameterError, match="need the package shapely; run 'pip install pycocotools shapely'"):
        adopt_folder(*own)
    assert not own[2].exists()


def test_a_full_disk_leaves_nothing_half_made(own):
    before = contents(own[0].parent)
    photo().resize((400, 400)).save(own[0] / "large.tif")
    Image.new("L", (400, 400), 255).save(own[1] / "large.png")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(RunError, match=f"cannot write {own[2]}: File too large; free or change that place"):
            adopt_folder(*own)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(own[2].parent.iterdir()) == []
    assert before.items() <= contents(own[0].parent).items()


def test_a_folder_that_another_program_made_meanwhile_is_not_taken_for_ours(own, monkeypatch):
    from carvana_course.adopt import convert

    def meanwhile(names, candidates, how):
        own[2].mkdir()
        (own[2] / "theirs").write_text("kept")

    monkeypatch.setattr(convert, "check_result", meanwhile)
    with pytest.raises(RunError, match="cannot write"):
        adopt_folder(*own)
    assert contents(own[2]) == {"theirs": b"kept"} and len(list(own[2].parent.iterdir())) == 1


def test_look_says_what_it_cannot_use(own, tmp_path):
    images, masks, _ = own
    with pytest.raises(DataError, match="holds 4 photos and no masks; masks are pictures of few colours"):
        survey_folder(images)
    with pytest.raises(DataError, match="holds no photos that can be read"):
        survey_folder(masks)
    with pytest.raises(DataError, match="is no folder"):
        survey_folder(tmp_path / "nothing")
    for out, reason in {"sheet.png": "must end in .jpg", images / "sheet.jpg": "which is only read"}.items():
        done = CliRunner().invoke(app, ["look", str(images.parent), "--out", str(out)])
        assert isinstance(done.exception, DataError) and reason in str(done.exception)
    assert not (images / "sheet.jpg").exists()


def test_look_counts_no_file_that_cannot_be_read_as_a_pair(own):
    annotate(own, labelme(shape(BOX)), '{"shapes": [', json.dumps(labelme(shape(BOX)))[:50])
    survey = survey_folder(own[0].parent)
    assert "pairs of photo and mask: 1" in survey.lines
    assert any(line.startswith("no pair: IMG_0102.jpg: IMG_0102.json is broken JSON") for line in survey.lines)
    (own[1] / "IMG_0101.json").unlink()
    done = CliRunner().invoke(app, ["look", str(own[0].parent)])
    assert "no photo can be used with its mask; one of 4, IMG_0102.jpg: IMG_0102.json is broken" in str(done.exception)


def test_look_where_no_name_pairs_says_so_and_stops(own):
    images, masks, _ = own
    for number, path in enumerate(sorted(masks.iterdir())):
        path.rename(path.with_name(f"{number}.png"))
    done = CliRunner().invoke(app, ["look", str(images.parent)])
    assert isinstance(done.exception, DataError) and "adopt it with" not in done.output
    names = "such as 'IMG_0101.jpg' and '0.png'; call masks as their photos, as in 'IMG_0101_mask.png'"
    assert str(done.exception) == f"no photo and mask have the same name, {names}"
    assert "pairs of photo and mask: 0" in done.output and not list(images.parent.parent.glob("*-look.jpg"))


def test_look_says_what_its_line_leaves_out(own):
    images, masks, _ = own
    shutil.copytree(masks, masks.with_name("SegmentationObject"))
    survey = survey_folder(images.parent)
    assert len(survey.pairs) == 4 and any(line.startswith(f"masks: 4, in {survey.masks};") for line in survey.lines)
    left = ({masks, masks.with_name("SegmentationObject")} - {survey.masks}).pop()
    (images.parent / "settings.json").write_text("{}")
    lines = survey_folder(images.parent).lines
    assert f"not in these folders, so left out below: {left} (4); adopt them by a line of their own" in lines


@pytest.mark.parametrize("name", ['a $HOME "b" `c`', "it's", "back\\slash"])
def test_printed_commands_can_be_pasted(own, name):
    images, masks, target = own
    folder = images.parent.rename(images.parent.with_name(name))
    line = survey_folder(folder).command(target.with_name(name))
    echoed = subprocess.run(["sh", "-c", f"printf '%s\\n' {line}"], capture_output=True, text=True, check=True)
    words = ["--images", folder / "images", "--masks", folder / "masks", "--target", target.with_name(name)]
    assert echoed.stdout.splitlines() == ["carvana", "adopt", *map(str, words)]
    said = adopt_folder(folder / "images", folder / "masks", target.with_name(name)).lines()[-1]
    assert str(target.with_name(name)) in shlex.split(said)


def test_look_that_cannot_write_names_the_option(own, tmp_path):
    (tmp_path / "file").write_text("")
    done = CliRunner().invoke(app, ["look", str(own[0].parent), "--out", str(tmp_path / "file" / "x.jpg")])
    assert isinstance(done.exception, RunError) and "with --out" in str(done.exception)


def test_a_link_to_a_folder_is_told(own):
    images, masks, target = own
    (images / "more").symlink_to(images.parent)
    found = problems(adopt_folder(images, masks, target))
    assert found["more"].startswith("no picture: no ending, as of a link to a folder; name that folder itself")


def test_look_finds_annotations_beside_photos_and_a_coco_file(own):
    images, masks, target = own
    annotate(own, *[labelme(shape(BOX))] * 4)
    for path in list(masks.iterdir()):
        path.rename(images / path.name)
    survey = survey_folder(images)
    assert survey.masks == survey.images == images and len(survey.pairs) == 4
    for path in images.glob("*.json"):
        path.unlink()
    (images.parent / "all.json").write_text(json.dumps(coco([{"image_id": 1, "segmentation": [BOX]}])))
    survey = survey_folder(images.parent)
    assert survey.masks.name == "all.json" and len(survey.pairs) == 4
    assert not any(problems(adopt_folder(survey.images, survey.masks, target)).values())


def test_names_are_safe_on_any_disk():
    taken = set()
    names = [unique_name(text, taken) for text in ("a_b", "a-b", "A B", "___", "x" * 300, "машина", "..")]
    assert names == ["a-b", "a-b-2", "A-B-3", "photo", "x" * 100, "машина", "photo-2"]
    assert unique_name("x" * 50 + "." + "y" * 99, set()) == "y" * 99, "no name begins with a point: it would be hidden"
    assert len(unique_name("車" * 300, taken).encode()) <= 200
    assert photo_keys("d/mask_a")[1] == photo_keys("d/a-seg")[1] == photo_keys("d/a.jpg")[1] == "d/a"


def test_random_run_lengths_never_draw_what_happened_to_be_in_memory():
    draw = np.random.default_rng(0)
    for _ in range(300):
        text = "".join(chr(value) for value in draw.integers(33, 110, draw.integers(0, 12)))
        shapes = (Shape("a", "rle", "annotation 1", np.zeros((0, 2)), {"size": [4, 5], "counts": text}),)
        try:
            drawn = polygons.draw_mask(Annotation("x.json", "x", (4, 5), shapes), (4, 5), {"a"})
        except DataError as error:
            assert str(error).startswith("x.json: annotation 1 has run lengths")
        else:
            assert drawn.max() <= 1
