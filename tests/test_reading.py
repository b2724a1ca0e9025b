"""Masks and photos of every kind that people have: what a person sees in a viewer decides, or the file is refused."""

import os
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest
from conftest import write_set
from PIL import Image, ImageOps

from carvana_course.deployment.folders import read_job
from carvana_lib import DataError, cache, pairs, reading
from carvana_lib.config import Params
from carvana_lib.data import open_data
from carvana_lib.frame import Frame
from carvana_lib.reading import open_photo, read_mask, read_photo

CAR = np.zeros((40, 60), np.uint8)
CAR[10:30, 15:50] = 1  # no mirror image or turn of it is the same, and its area is no half
CAR[10:16, 15:30] = 0


def palette(indices, colours, mode="P"):
    picture = Image.fromarray(indices.astype(np.uint8), mode)
    picture.putpalette(sum(colours, ()))
    return picture


def layers(grey, opacity, mode="RGBA"):
    grey = Image.fromarray(np.broadcast_to(np.asarray(grey, np.uint8), CAR.shape).copy())
    opacity = Image.fromarray(np.broadcast_to(np.asarray(opacity, np.uint8), CAR.shape).copy())
    return Image.merge("LA", [grey, opacity]).convert(mode)


WHITE, BLACK, RED, BLUE = (255, 255, 255), (0, 0, 0), (255, 0, 0), (0, 0, 255)
ONES = CAR
WHITE_CAR = Image.fromarray(255 * CAR)
SOFT = Image.fromarray(np.where(CAR, 250, 5).astype(np.uint8))
FOUND = {  # a mask as people have it -> read as CAR
    "Carvana's own": palette(CAR, [BLACK, WHITE]),
    "white first": palette(1 - CAR, [WHITE, BLACK]),
    "white is index 7": palette(CAR * 7, [BLACK] * 7 + [WHITE]),
    "red on black": palette(CAR, [BLACK, (128, 0, 0)]),
    "black on index 1": palette(1 - CAR, [RED, BLACK]),
    "quantised": WHITE_CAR.convert("RGB").quantize(2),
    "adaptive": WHITE_CAR.convert("RGB").convert("P", palette=Image.Palette.ADAPTIVE),
    "web palette": WHITE_CAR.convert("RGB").convert("P"),
    "grey palette": WHITE_CAR.convert("P"),
    "0 and 1": Image.fromarray(CAR),
    "0 and 255": WHITE_CAR,
    "0 and 128": Image.fromarray(128 * CAR),
    "nearly black, nearly white": SOFT,
    "bits": WHITE_CAR.convert("1"),
    "RGB": WHITE_CAR.convert("RGB"),
    "RGB, red": Image.merge("RGB", [WHITE_CAR, Image.new("L", (60, 40)), Image.new("L", (60, 40))]),
    "16 bits, 0 and 1": Image.fromarray(CAR.astype(np.uint16)),
    "16 bits, 0 and 65535": Image.fromarray(CAR.astype(np.uint16) * 65535),
    "16 bits, 0 and 4095": Image.fromarray(CAR.astype(np.uint16) * 4095),
    "solid RGBA": WHITE_CAR.convert("RGBA"),
    "half solid": layers(255 * CAR, 128),
    "white, car is solid": layers(255, 255 * CAR),
    "black, car is solid": layers(0, 255 * CAR),
    "grey and solid": layers(255, 255 * CAR, "LA"),
    "car is half solid": layers(255, 128 * CAR),
    "colours and opacity agree": layers(255 * CAR, 255 * CAR),
    "nearly solid": layers(255 * CAR, 254 + CAR),
    "16 bits, 0 and 300": Image.fromarray(CAR.astype(np.uint16) * 300),
}
REFUSED = {  # a mask that does not tell -> why
    "1 and 2": (Image.fromarray(CAR + 1), "no black, only grey 1 and 2"),
    "grey and white": (Image.fromarray(CAR * 127 + 128), "no black, only grey 128 and 255"),
    "red and blue": (palette(CAR, [RED, BLUE]), "no black"),
    "grey": (Image.new("L", (60, 40), 77), "no black, only grey 77"),
    "three": (Image.fromarray(CAR + CAR[::-1]), "3 values instead of two"),
    "soft": (Image.radial_gradient("L").resize((60, 40)), "values instead of two"),
    "soft opacity": (layers(255, np.linspace(0, 255, 60).astype(np.uint8)), "values instead of two"),
    "contradiction": (layers(255 - 255 * CAR, 255 * CAR), "colours and transparency show different shapes"),
    "white is transparent": (palette(CAR, [BLACK, WHITE]), "colours and transparency show different shapes"),
    "one colour": (palette(CAR, [BLACK, BLACK]), "its colours are equally bright"),
    "a cut-out": (layers(np.arange(60, dtype=np.uint8) + 90, 255 * CAR), "colours and transparency show different"),
    "two objects, equally bright": (
        palette(CAR + CAR[::-1], [BLACK, (255, 0, 0), (0, 130, 0)]).convert("RGB"),
        "more than two colours",
    ),
    "one object, as dark as black": (palette(CAR, [BLACK, (1, 0, 0)]).convert("RGB"), "its colours are equally bright"),
    "16 bits, numbers of objects": (Image.fromarray(CAR.astype(np.uint16) * 300 + 10 * CAR[::-1]), "values instead"),
}


@pytest.mark.parametrize("suffix", [".png", ".gif"])
@pytest.mark.parametrize("kind", FOUND)
def test_a_mask_is_what_a_person_sees(tmp_path, kind, suffix):
    if suffix == ".gif" and FOUND[kind].mode not in ("P", "L", "1", "RGB"):
        suffix = ".png"  # GIF has no such pictures
    FOUND[kind].save(tmp_path / f"mask{suffix}")
    found = read_mask(tmp_path / f"mask{suffix}")
    assert found.dtype == np.uint8 and (found == CAR).all()


@pytest.mark.parametrize("kind", REFUSED)
def test_a_mask_that_does_not_tell_is_refused(tmp_path, kind):
    picture, reason = REFUSED[kind]
    picture.save(tmp_path / "odd_mask.png", **({"transparency": 1} if kind == "white is transparent" else {}))
    with pytest.raises(DataError, match=f"odd_mask.png: .*{reason}.*; save it in black and white"):
        read_mask(tmp_path / "odd_mask.png")


@pytest.mark.parametrize(("colour", "car"), [(0, 0), (1, 1), (255, 1)])
@pytest.mark.parametrize("mode", ["L", "RGBA", "1"])
def test_a_mask_of_one_value(tmp_path, colour, car, mode):
    picture = Image.new("L", (6, 4), colour)
    one_bit = picture.point(lambda value: 255 if value else 0, "1")
    (one_bit if mode == "1" else picture.convert(mode)).save(tmp_path / "mask.png")
    assert (read_mask(tmp_path / "mask.png") == car).all()
    layers(255, 0).save(tmp_path / "nothing.png")
    assert not read_mask(tmp_path / "nothing.png").any()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_mask_is_turned_as_its_photo(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    WHITE_CAR.save(tmp_path / "mask.png", exif=exif)
    assert (
        255 * read_mask(tmp_path / "mask.png") == np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "mask.png")))
    ).all()


def test_a_threshold_settles_soft_masks(tmp_path):
    for name, picture in {
        "soft": SOFT,
        "two": Image.fromarray(CAR + 1),
        "air": layers(255, np.where(CAR, 90, 20)),
    }.items():
        picture.save(tmp_path / f"{name}.png")
    assert (read_mask(tmp_path / "soft.png", 128) == CAR).all()
    assert (read_mask(tmp_path / "two.png", 2) == CAR).all()
    assert (read_mask(tmp_path / "air.png", 50) == CAR).all() and read_mask(tmp_path / "air.png", 20).all()


def test_a_threshold_that_nothing_reaches_is_told_and_transparency_that_contradicts_stays_refused(tmp_path):
    Image.fromarray(CAR).save(tmp_path / "one.png")
    with pytest.raises(DataError, match="no grey reaches mask_threshold=128, the greatest is 1; lower it"):
        read_mask(tmp_path / "one.png", 128)
    margin = np.zeros_like(CAR)
    margin[5:35] = 255
    soft = np.asarray(Image.radial_gradient("L").resize((60, 40)))
    layers(soft, margin).save(tmp_path / "margin.png")
    for threshold in (None, 128):
        with pytest.raises(DataError, match="colours and transparency show different shapes; save it in black and w"):
            read_mask(tmp_path / "margin.png", threshold)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_sixteen_bits_a_colour_that_pillow_would_empty_are_refused(tmp_path, mode):
    layers_of_16 = np.repeat(CAR[..., None].astype(np.uint16), len(mode), -1)
    layers_of_16[..., 3:] = 65535
    cv2.imwrite(str(tmp_path / "mask.png"), layers_of_16)
    with pytest.raises(DataError, match="of its 16 bits the upper are empty"):
        read_mask(tmp_path / "mask.png")


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "RGB"])
def test_a_turned_tiff_of_any_mode_is_turned_once(tmp_path, mode):
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    image = image.quantize(50) if mode == "P" else image.convert(mode)
    image.save(tmp_path / "x.tif", tiffinfo={0x0112: 6})
    photo, size = open_photo(tmp_path / "x.tif")
    assert size == (64, 48) and np.abs(photo.astype(int) - np.rot90(np.asarray(image.convert("RGB")), -1)).max() <= 1


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no such names")
def test_a_name_with_a_line_break_shifts_nothing(tmp_path):
    write_set(tmp_path)
    for name in ("Icon\r", "Icon\n_01.jpg", "aa\r_01.jpg"):
        (tmp_path / "train" / name).write_bytes(b"")
    data = open_data(Params(data_dir=str(tmp_path), image_size=32))
    assert len(data.audit) == 9 and len(data.table) == len(data.images) == 6
    strange = data.audit[data.audit["image_id"].str.contains("?", regex=False)]
    assert len(strange) == 3 and strange["problem"].str.startswith("name is not UTF-8, or holds a line break").all()


def test_what_could_not_be_read_is_tried_again_once_that_has_changed(tmp_path, monkeypatch):
    write_set(tmp_path)
    first = cache.prepare(tmp_path, Frame.of(32))[0]
    (tmp_path / "train" / "car0_01.jpg").chmod(0o600)
    second = cache.prepare(tmp_path, Frame.of(32))[0]
    monkeypatch.setattr(cache, "HAS_HEIC", not cache.HAS_HEIC)
    assert len({first, second, cache.prepare(tmp_path, Frame.of(32))[0]}) == 3


def test_the_audit_warns_of_masks_that_look_odd_and_the_screen_says_so(tmp_path, capsys):
    tiny = np.zeros((32, 48), np.uint8)
    tiny[5:7, 5:9] = 255
    frame = np.full((32, 48), 255, np.uint8)
    frame[4:28, 4:44] = 0
    whole = Image.new("L", (48, 32), 255)
    masks = {
        "car0_01_mask.png": Image.fromarray(tiny),
        "car0_02_mask.png": Image.fromarray(frame),
        "car1_01_mask.png": whole,
    }
    data = open_data(Params(data_dir=str(write_set(tmp_path, masks)), image_size=32))
    found = data.audit.set_index("image_id")["warning"]
    assert found["car0_01"] == "car below 1 % of the picture"
    assert found["car0_02"] == "border mostly car: is the mask inverted?"
    assert found["car1_01"] == "car above 90 % of the picture; border mostly car: is the mask inverted?"
    assert (found.drop(["car0_01", "car0_02", "car1_01"]) == "").all() and len(data.table) == 6
    said = capsys.readouterr().out
    assert said.startswith("3 of 6 with an odd mask: 1 x car below 1 % of the picture") and said.count("\n") == 1


def test_every_file_has_its_row_and_nothing_is_left_out_without_a_word(tmp_path, capsys):
    write_set(tmp_path, cars=5)
    train, masks = tmp_path / "train", tmp_path / "train_masks"
    (train / "car0_01.jpg").rename(train / "car0-01.jpg")
    Image.open(masks / "car1_01_mask.gif").convert("L").save(masks / "car1_01_mask.jpg")
    (masks / "car1_01_mask.gif").unlink()
    shutil.copy(train / "car2_01.jpg", train / "car2_01.jpeg")
    shutil.copy(masks / "car3_01_mask.gif", masks / "car3_01.gif")
    (train / "notes.txt").write_text("hello")
    (masks / "more").mkdir()
    (train / ".hidden").write_text("left by a killed download")
    data = open_data(Params(data_dir=str(tmp_path), image_size=32))
    found = data.audit.set_index("image_id")["problem"]
    named = "name is not <car_id>_<view> with two digits or more"
    assert found["car0-01"] == f"{named}: 'carvana look {tmp_path}' shows how to adopt it"
    assert found["car0_01"] == "mask without image"
    assert found["car1_01"].startswith("mask is a .jpg file; save it as .png")
    assert found["car2_01"].tolist() == ["2 photos of one name: car2_01.jpeg, car2_01.jpg; keep one"] * 2
    assert found["car3_01"].tolist() == ["2 masks of one name: car3_01.gif, car3_01_mask.gif; keep one"] * 2
    assert found["train/notes.txt"] == "no picture: unknown ending '.txt'"
    assert found["train_masks/more"].startswith("a folder, which is not looked into")
    assert len(data.table) == 6 and len(found) == 6 + 9
    said = capsys.readouterr().out
    assert said.startswith("5 of 11 left out: 2 x 2 photos of one name") and "audit.csv" in said and "others" in said


def test_the_commonest_reason_comes_first_and_names_no_single_file(tmp_path, capsys):
    write_set(tmp_path, cars=8)
    for path in sorted((tmp_path / "train_masks").iterdir())[:9]:
        path.write_bytes(b"GIF89a nonsense")
    open_data(Params(data_dir=str(tmp_path), image_size=32))
    assert capsys.readouterr().out.startswith(
        "9 of 16 left out: 9 x mask is not a readable picture (no known format); see"
    )


def test_names_alone_leave_most_out(tmp_path):
    write_set(tmp_path)
    for path in (tmp_path / "train").iterdir():
        path.rename(path.with_name(path.name.replace("_", "-")))
    reason = "6 of 6 left out: 6 x name is not <car_id>_<view> .*: 'carvana look .*' shows how to adopt it, "
    with pytest.raises(DataError, match=f"no usable pair .*: {reason}"):
        open_data(Params(data_dir=str(tmp_path), image_size=32))


def test_photos_without_a_car_are_kept_when_asked(tmp_path):
    empty = {f"car{car}_01_mask.png": Image.new("L", (48, 32)) for car in range(3)}
    params = Params(data_dir=str(write_set(tmp_path, empty)), image_size=32)
    left = open_data(params)
    kept = open_data(params.replace(keep_empty=True))
    assert len(left.table) == 3 and len(kept.table) == 6 and (kept.table["area"] == 0).sum() == 3
    assert left.audit["problem"].str.startswith("empty mask; set keep_empty").sum() == 3
    assert left.fingerprint != kept.fingerprint and not kept.masks[kept.table["area"] == 0].any()


def test_a_threshold_is_used_for_the_whole_set(tmp_path):
    soft = {
        f"car{car}_0{view}_mask.png": Image.radial_gradient("L").resize((48, 32)) for car in range(3) for view in (1, 2)
    }
    params = Params(data_dir=str(write_set(tmp_path, soft)), image_size=32)
    with pytest.raises(DataError, match="values instead of two"):
        open_data(params)
    half, more = (open_data(params.replace(mask_threshold=t)) for t in (100, 200))
    assert half.table["area"].min() > more.table["area"].max() > 0
    mask = half.read_mask(half.table["mask"].iloc[0])
    assert (
        mask.mean() == pytest.approx(half.table["area"].iloc[0]) and (Frame.of(32).resize(mask) == half.masks[0]).all()
    )


PHOTO = Image.fromarray(np.random.default_rng(3).integers(0, 256, (5, 8, 3), dtype=np.uint8)).resize((60, 40))
GREY = np.asarray(PHOTO.convert("L"))
TURNED = {n: Image.Exif() for n in range(1, 9)}
for orientation, exif in TURNED.items():
    exif[0x0112] = orientation
CUT_OUT = PHOTO.copy()
CUT_OUT.putalpha(WHITE_CAR)
KINDS = {  # file -> (picture, how it is saved, what a person sees or None for the picture itself)
    "16bit.png": (Image.fromarray(GREY.astype(np.uint16) * 257), {}, GREY),
    "12bit.png": (Image.fromarray((GREY.astype(np.uint16) << 4) + 15), {}, GREY),
    "16bit.tif": (Image.fromarray(GREY.astype(np.uint16) * 257), {}, GREY),
    "16bit.pgm": (Image.fromarray(GREY.astype(np.uint16) * 257), {}, GREY),
    "8bit_in_16.png": (Image.fromarray(GREY.astype(np.uint16)), {}, GREY),
    "alpha.png": (CUT_OUT, {}, np.where(CAR[..., None], np.asarray(PHOTO), 255)),
    "alpha.webp": (CUT_OUT, {"lossless": True}, np.where(CAR[..., None], np.asarray(PHOTO), 255)),
    "palette.png": (PHOTO.quantize(200), {}, None),
    "palette.gif": (PHOTO.quantize(200), {}, None),
    "print.jpg": (PHOTO.convert("CMYK"), {"quality": 95}, None),
    "print.tif": (PHOTO.convert("CMYK"), {}, None),
    "grey.jpg": (PHOTO.convert("L"), {}, GREY),
    "plain.bmp": (PHOTO, {}, None),
    "plain.ppm": (PHOTO, {}, None),
    "plain.jfif": (PHOTO, {"format": "JPEG", "quality": 95}, None),
    "plain.avif": (PHOTO, {"quality": 95}, None),
    **{f"turned{n}.jpg": (PHOTO, {"exif": exif, "quality": 95}, None) for n, exif in TURNED.items()},
    **{f"turned{n}.png": (PHOTO, {"exif": exif}, None) for n, exif in TURNED.items()},
    **{f"turned{n}.tif": (PHOTO, {"exif": exif}, None) for n, exif in TURNED.items()},
}


@pytest.mark.parametrize("name", KINDS)
def test_training_and_prediction_see_the_same_photo(tmp_path, name):
    picture, how, seen = KINDS[name]
    if seen is None:
        seen = np.asarray(picture.convert("RGB"))
    if seen.ndim == 2:
        seen = np.repeat(seen[..., None], 3, -1)
    if how.get("exif"):
        picture.save(tmp_path / name, **how)
        orientation = how["exif"][0x0112]
        turn = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}  # Pillow's number of the turn that brings it upright
        seen = np.asarray(Image.fromarray(seen).transpose(turn[orientation])) if orientation > 1 else seen
    (tmp_path / "train").mkdir()
    (tmp_path / "train_masks").mkdir()
    path = tmp_path / "train" / f"car_01{name[name.index('.') :]}"
    picture.save(path, **how)
    Image.fromarray(np.pad(np.full((2, 3), 255, np.uint8), ((0, len(seen) - 2), (0, seen.shape[1] - 3)))).save(
        tmp_path / "train_masks" / "car_01_mask.png"
    )
    (pair,) = pairs.find_pairs(tmp_path).to_dict("records")
    row, training, _ = cache.inspect(tmp_path, pair, Frame.of(32))
    assert row["problem"] == "" and (row["height"], row["width"]) == seen.shape[:2]
    job = read_job(path.parent, path.name, Frame.of(32))
    assert (job.framed == training).all() and job.size == seen.shape[:2]
    tolerance = 25 if path.suffix in (".jpg", ".jfif", ".avif") else 1
    assert np.abs(read_photo(path).astype(int) - seen).max() <= tolerance


def test_heic_is_read_with_its_package_or_named(tmp_path, monkeypatch):
    pytest.importorskip("pillow_heif", reason="no pillow-heif: pip install pillow-heif")
    photo = Image.fromarray(Frame.of(64).resize(np.asarray(PHOTO)))
    photo.save(tmp_path / "IMG_1.HEIC", format="HEIF", quality=95)
    assert np.abs(read_photo(tmp_path / "IMG_1.HEIC").astype(int) - np.asarray(photo)).mean() < 5
    (tmp_path / "IMG_2.heic").write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"IMG_2.heic is not a readable picture \(no known format\)"):
        read_photo(tmp_path / "IMG_2.heic")
    monkeypatch.setattr(reading, "HAS_HEIC", False)
    with pytest.raises(DataError, match=r"\(HEIC needs 'pip install pillow-heif'\); save it anew as JPEG"):
        read_photo(tmp_path / "IMG_2.heic")


def test_metadata_of_other_separators_is_read(tmp_path):
    write_set(tmp_path)
    for separator in ",;\t":
        text = f"id{separator}year{separator}make\ncar1{separator}2020{separator}Aldora\n"
        (tmp_path / "metadata.csv").write_text(text, encoding="utf8")
        table = open_data(Params(data_dir=str(tmp_path), image_size=32)).table
        assert set(table.loc[table["car_id"] == "car1", "make"]) == {"Aldora"}
    odd = "id, year, make\ncar1, 2020, Aldora,\n"  # blanks, and a comma too many at each line's end
    (tmp_path / "metadata.csv").write_text(odd, encoding="utf8")
    table = open_data(Params(data_dir=str(tmp_path), image_size=32)).table
    assert set(table.loc[table["car_id"] == "car1", "make"]) == {"Aldora"}
    for text in ("Id,Year\ncar1,2020\n", "sep=;\nid;make\n"):
        (tmp_path / "metadata.csv").write_text(text, encoding="utf8")
        with pytest.raises(DataError, match="metadata.csv is not a table in UTF-8 with the column 'id'"):
            open_data(Params(data_dir=str(tmp_path), image_size=32))
    for text in ("id\ncar1\n", "\ufeffid;make\ncar1;Aldora\n"):
        (tmp_path / "metadata.csv").write_text(text, encoding="utf8")
        assert len(open_data(Params(data_dir=str(tmp_path), image_size=32)).table) == 6
    (tmp_path / "metadata.csv").write_bytes("id;make\ncar1;Škoda\n".encode("cp1250"))
    with pytest.raises(DataError, match="metadata.csv is not a table in UTF-8 with the column 'id'"):
        open_data(Params(data_dir=str(tmp_path), image_size=32))


def test_the_audit_is_written_with_its_warnings(tmp_path):
    data = open_data(Params(data_dir=str(write_set(tmp_path)), image_size=32, run_name="audited"))
    written = pd.read_csv(tmp_path / "runs" / "audited" / "audit.csv", keep_default_na=False)
    assert list(written) == cache.AUDIT_COLUMNS and (written["warning"] == "").all() and len(data.table) == 6


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_twelve_bits_of_colour_in_sixteen_are_refused_rather_than_black(tmp_path, suffix):
    """Pillow keeps the upper 8 bits of 16 a colour."""
    path = tmp_path / f"deep{suffix}"
    cv2.imwrite(str(path), np.asarray(PHOTO)[..., ::-1].astype(np.uint16) * 257)
    assert np.abs(read_photo(path).astype(int) - np.asarray(PHOTO)).max() <= 1
    cv2.imwrite(str(path), np.asarray(PHOTO).astype(np.uint16) * 16)
    with pytest.raises(DataError, match="of its 16 bits the upper are empty; scale them to 8"):
        read_photo(path)


def test_three_colours_that_are_equally_bright_are_refused(tmp_path):
    colours = [(255, 0, 0), (0, 130, 0), (76, 76, 76)]
    palette(CAR + CAR[::-1], colours).convert("RGB").save(tmp_path / "odd_mask.png")
    with pytest.raises(DataError, match="odd_mask.png: its colours are equally bright; save it in black and white"):
        read_mask(tmp_path / "odd_mask.png")
