import io
import subprocess
import sys
import warnings

import cv2
import numpy as np
import pytest
import torch
from conftest import ROOT
from PIL import Image, ImageOps

from carvana_course.deployment.comparison import NAIVE, compare_ways
from carvana_course.deployment.ways import WAYS, logits_by_way, tiled_logits
from carvana_lib import DataError, ParameterError, prediction
from carvana_lib.frame import Frame
from carvana_lib.model import UNet
from carvana_lib.prediction import probability
from carvana_lib.reading import open_photo, read_photo


class Bright(torch.nn.Module):
    """Says car where the picture is bright, pixel by pixel, so that every way must agree on a smooth picture."""

    stride = 16

    def forward(self, images):
        return images.float().mean(1, keepdim=True) / 32 - 4


@pytest.fixture
def net():
    torch.manual_seed(0)
    return UNet(4).eval()


def by_way(net, picture, image_size, way, flip=False):
    """The probability of car in one of WAYS."""
    return prediction.sigmoid(logits_by_way(net, picture, Frame.of(image_size), way, flip))


def photo(width, height, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(width, height):
    """A bright spot on dark, without any edge."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return np.repeat((255 * np.exp(-2 * (x**2 + y**2)))[..., None], 3, -1).round().astype(np.uint8)


def saved(image, format, **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    buffer.seek(0)
    return buffer


RGB = Image.fromarray(smooth(60, 40))


MODES = {  # what each format can hold
    "PNG": ["L", "RGB", "P", "1", "RGBA", "LA", "I;16"],
    "TIFF": ["L", "RGB", "P", "1", "RGBA", "LA", "I;16", "CMYK", "YCbCr"],
    "WebP": ["L", "RGB", "P", "RGBA"],
    "JPEG": ["L", "RGB", "CMYK", "YCbCr"],
    "GIF": ["L", "RGB", "P"],
    "BMP": ["L", "RGB", "P", "1", "RGBA"],
}


@pytest.mark.parametrize(("format", "mode"), [(format, mode) for format in MODES for mode in MODES[format]])
def test_every_mode_and_format_looks_the_same(format, mode):
    if mode == "I;16":
        image = Image.fromarray(np.asarray(RGB)[..., 0].astype(np.uint16) * 257)
    else:
        image = {"P": RGB.quantize, "LA": RGB.convert("L").convert("LA").copy}.get(mode, lambda: RGB.convert(mode))()
    found = read_photo(saved(image, format))
    assert found.shape == (40, 60, 3) and found.dtype == np.uint8
    expected, tolerance = (image.convert("RGB"), 0) if mode == "1" else (RGB, 12)  # dithered; others lose a little
    assert np.abs(found.astype(int) - np.asarray(expected)).max() <= tolerance
    assert abs(found.mean() - np.asarray(RGB).mean()) < 5


def test_sixteen_bits_are_scaled_and_not_clipped():
    values = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
    assert read_photo(saved(Image.fromarray(values), "PNG"))[0, :, 0].tolist() == [0, 0, 1, 128, 255]


def test_transparent_is_white():
    rgba = Image.new("RGBA", (4, 1), (0, 0, 0, 255))
    rgba.putpixel((1, 0), (0, 0, 0, 0))
    rgba.putpixel((2, 0), (255, 0, 0, 0))
    assert read_photo(saved(rgba, "PNG"))[0].tolist() == [[0, 0, 0], [255] * 3, [255] * 3, [0, 0, 0]]
    palette = Image.new("P", (2, 1))
    palette.putpalette([0, 0, 0, 9, 9, 9])
    palette.putpixel((1, 0), 1)
    assert read_photo(saved(palette, "PNG", transparency=1))[0].tolist() == [[0, 0, 0], [255] * 3]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WebP", "TIFF"])
def test_photos_are_turned_upright(orientation, format):
    image = Image.fromarray(smooth(640, 400)).crop((0, 0, 300, 400))  # no two of the eight ways look alike
    exif = image.getexif()
    exif[0x0112] = orientation
    file = saved(image, format, exif=exif)
    with Image.open(io.BytesIO(file.getvalue())) as opened:
        upright = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    assert (read_photo(file) == upright).all()
    small, size = open_photo(file, at_least=64)
    assert size == upright.shape[:2] and (small.shape[0] > small.shape[1]) == (size[0] > size[1])
    assert np.abs(Frame.of(16).resize(small).astype(int) - Frame.of(16).resize(upright)).max() <= 4
    assert (small.shape[0] < size[0]) == (format == "JPEG") and min(small.shape[:2]) >= 64


def test_a_photo_that_is_nearly_square_keeps_its_sides_when_it_is_turned():
    """Reduced to an eighth it is square, and its pixels no longer tell that it was turned."""
    image = Image.new("RGB", (1000, 999))
    exif = image.getexif()
    exif[0x0112] = 6
    file = saved(image, "JPEG", exif=exif)
    _, size = open_photo(file, at_least=100)
    assert size == (1000, 999) == read_photo(file).shape[:2]


def test_reading_is_quiet(tmp_path):
    """Even where the EXIF data are damaged; in a fresh interpreter, since pytest sets filters of its own."""
    saved_exif = saved(RGB, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05").getvalue()
    (tmp_path / "exif.jpg").write_bytes(saved_exif)
    (tmp_path / "large.png").write_bytes(saved(Image.new("1", (10_000, 10_000)), "PNG").getvalue())
    code = "import sys; from carvana_lib.reading import read_photo; print([read_photo(p).size for p in sys.argv[1:]])"
    words = [sys.executable, "-c", code, str(tmp_path / "exif.jpg"), str(tmp_path / "large.png")]
    found = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    assert (found.stdout, found.stderr) == ("[7200, 300000000]\n", "")


def test_what_cannot_be_read_is_named_in_one_sentence(tmp_path):
    whole = saved(Image.fromarray(photo(64, 64)), "JPEG").getvalue()
    bomb = saved(Image.new("1", (20_000, 6_001)), "PNG").getvalue()
    worse = saved(Image.new("1", (20_000, 10_000)), "PNG").getvalue()
    depth = saved(Image.new("F", (4, 4)), "TIFF").getvalue()
    files = {"cut.jpg": whole[:-300], "text.jpg": b"hello", "empty.png": b"", "bomb.png": bomb, "worse.png": worse}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # pytest undoes the module's filter
        for name, content in (files | {"deep.tif": depth}).items():
            (tmp_path / name).write_bytes(content)
            with pytest.raises(DataError) as caught:
                read_photo(tmp_path / name)
            assert name in str(caught.value) and "\n" not in str(caught.value) and "0x" not in str(caught.value)
            assert ("million pixels" in str(caught.value)) == (name in ("bomb.png", "worse.png"))
    for missing in (tmp_path / "none.jpg", tmp_path):
        with pytest.raises(DataError, match=missing.name):
            read_photo(missing)
    with pytest.raises(DataError, match="^the picture is not"):
        read_photo(io.BytesIO(b"hello"))


@pytest.mark.parametrize("size", [(1, 1), (17, 3000), (3000, 17), (31, 33), (64, 48), (40_000, 2)])
@pytest.mark.parametrize("way", WAYS)
def test_the_probability_has_the_photos_size(net, size, way):
    if way == "native" and size[0] == 40_000:
        size = (4000, 2)
    found = by_way(net, photo(*size), 32, way, flip=size == (31, 33))
    assert found.shape == size[::-1] and found.dtype == np.float32 and 0 <= found.min() <= found.max() <= 1


@pytest.mark.parametrize("image_size", [31, 40, 100])
@pytest.mark.parametrize("way", WAYS)
def test_a_size_that_poolings_cannot_halve_is_padded(net, image_size, way):
    assert by_way(net, photo(90, 70), image_size, way).shape == (70, 90)


def test_padding_does_not_move_the_picture(net):
    """The padded picture, cut, is what the net says of the padded picture."""
    one = photo(50, 44)
    padded = cv2.copyMakeBorder(one, 0, 4, 0, 14, cv2.BORDER_REPLICATE)
    with torch.inference_mode():
        expected = net(torch.from_numpy(padded).permute(2, 0, 1)[None])[0, 0, :44, :50].numpy()
    assert np.allclose(prediction.net_logits(net, one[None])[0], expected, atol=1e-5)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("flip", [False, True])
def test_every_way_agrees_on_a_smooth_picture(way, flip):
    picture = smooth(120, 80)
    expected = prediction.sigmoid(picture.mean(-1, dtype=np.float32) / 32 - 4)
    found = by_way(Bright(), picture, 64, way, flip=flip)
    assert np.abs(found - expected).max() < 0.05 and ((found >= 0.5) == (expected >= 0.5)).mean() > 0.98


def test_the_outline_of_enlarged_logits_has_no_stairs():
    """A slanted edge, seen at an eighth of its size: logits bring back the line, an enlarged mask its stairs."""
    y, x = np.mgrid[:256, :256]
    distance = (x - 128 + 0.3 * (y - 128)) / 1.05
    picture = np.repeat(np.clip(128 + 4 * distance, 0, 255)[..., None], 3, -1).astype(np.uint8)
    line = distance >= 0
    said = probability(Bright(), picture, Frame.of(32)) >= 0.5
    stairs = cv2.resize(Frame.of(32).resize(picture)[..., 0] // 128, (256, 256), interpolation=cv2.INTER_NEAREST) > 0
    assert (said != line).mean() < 0.005 < (stairs != line).mean()


def test_flip_averages_both_directions():
    class LeftHanded(torch.nn.Module):
        stride = 16

        def forward(self, images):
            logits = torch.full_like(images[:, :1], -4.0, dtype=torch.float32)
            logits[..., : images.shape[-1] // 2] = 4.0
            return logits

    plain, both = (probability(LeftHanded(), photo(64, 64), Frame.of(64), flip=flip) for flip in (False, True))
    assert plain[:, :24].min() > 0.9 and plain[:, 40:].max() < 0.1 and np.allclose(both, 0.5, atol=1e-6)


def test_tiles_leave_no_seams():
    """Even a net that is wrong along the edges of what it sees gives an even picture from overlapping windows."""

    class AfraidOfEdges(torch.nn.Module):
        stride = 16

        def forward(self, images):
            logits = torch.full_like(images[:, :1], 4.0, dtype=torch.float32)
            logits[..., :2], logits[..., -2:] = -4.0, -4.0
            return logits

    squares = photo(96, 96)[None]
    whole = tiled_logits(AfraidOfEdges(), squares, Frame.of(48))[0][24]
    assert whole[8:-8].min() > 2.5 and np.abs(np.diff(whole[8:-8])).max() < 0.7


def test_the_fast_copy_says_the_same_and_the_net_stays_as_it_was(net):
    for module in net.modules():  # statistics as after training: not 0 and 1
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 2)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    picture = photo(70, 50)
    expected, found = (probability(one, picture, Frame.of(32)) for one in (net, prediction.fast(net, "cpu")))
    assert np.abs(found - expected).max() < 0.02  # bf16 where it is fast
    assert all((before[name] == tensor).all() for name, tensor in net.state_dict().items())
    assert net(torch.zeros(1, 3, 32, 32)).dtype == torch.float32
    exact = probability(prediction.fast(net, "cpu", "float32"), picture, Frame.of(32))
    rough = probability(prediction.fast(net, "cpu", "bf16"), picture, Frame.of(32))
    assert np.abs(exact - expected).max() < 1e-5 < np.abs(rough - expected).max() < 0.02


def test_a_net_in_training_mode_is_not_disturbed(net):
    net.train()
    mean = net.encoder[0][1].running_mean.clone()
    probability(net, photo(40, 40), Frame.of(32))
    assert (net.encoder[0][1].running_mean == mean).all()


def test_an_unknown_way_names_the_known_ones(net):
    with pytest.raises(ParameterError, match="whole, larger, tiles, native"):
        by_way(net, photo(40, 40), 32, "hole")


def test_the_comparison_scores_every_way_at_native_size(data):
    table = compare_ways(Bright(), data, data.rows("test"), Frame.of(16)).set_index(["way", "flip"])
    assert list(table.index) == [(NAIVE, False), *((way, flip) for way in WAYS for flip in (False, True))]
    assert (table[["iou", "dice", "boundary_iou", "ms"]] > 0).all(axis=None) and (table["iou"] <= table["dice"]).all()
    score = table["iou"]  # of a net that needs no surroundings
    assert score["native", False] > score["larger", False] > score["whole", False] > score[NAIVE, False]


def test_real_photos(real):
    path = sorted((real / "carvana-native" / "train").iterdir())[0]
    small, size = open_photo(path, at_least=256)
    assert size == (1280, 1918) and small.shape == (320, 480, 3) and read_photo(path).shape == (1280, 1918, 3)
