"""The broken pairs of notebook 01: the audit finds each of them, and a person sees what is wrong."""

import numpy as np
from PIL import ImageFile

from carvana_course.adopt.broken import pair_picture, write_broken
from carvana_lib.cache import inspect
from carvana_lib.config import Params
from carvana_lib.data import open_data
from carvana_lib.frame import Frame
from carvana_lib.pairs import find_pairs

SAYS = [
    "",
    "mask without image",
    "image without mask",
    "truncated",
    "mask is 240x160, image is 480x320",
    "empty mask",
    "values instead of two",
    "no known format",
]


def test_each_of_seven_faults_is_found_and_seen(tmp_path, capfd):
    write_broken(open_data(Params(image_size=32)), tmp_path)
    found = find_pairs(tmp_path).to_dict("records")
    problems = [inspect(tmp_path, pair, Frame.of(32))[0]["problem"] for pair in found]
    assert [said in problem for said, problem in zip(SAYS, problems, strict=True)] == [True] * 8 and not problems[0]
    shown = [pair_picture(tmp_path, pair) for pair in found]
    assert {picture.shape for picture in shown} == {(160, 488, 3)}
    photos = [picture[:, :240] for picture in shown]
    masks = [picture[:, 248:] for picture in shown]
    crossed = [1, 7]  # a field in grey with two lines, where there is nothing to see
    assert [number for number, photo in enumerate(photos) if photo[0, 120].tolist() == [211] * 3] == crossed
    assert masks[2][0, 120].tolist() == [211] * 3 and not masks[5].any()
    grey = [np.mean((mask > 20) & (mask < 235)) for mask in masks]
    assert grey[6] > 2 * grey[0], "a soft outline"
    assert not ImageFile.LOAD_TRUNCATED_IMAGES and capfd.readouterr().err == ""
