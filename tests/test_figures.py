"""Figures look the same on light and dark pages, and every word in them can be read: its contrast, size and place."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import SCREENSHOTS
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.text import Text
from PIL import Image

from carvana_course.exercises.diagnosis import six_runs
from carvana_course.exercises.tuning import RANGE_TESTS
from carvana_course.show import (
    drawings,
    figures,
    histories,
    loss_plots,
    pictures,
    plots,
    rate_plots,
    scores,
    thumbnails,
)
from carvana_course.show.anatomy import receptive_field, trace_shapes
from carvana_lib.model import UNet

VIEWS = np.tile(np.arange(1, 17), 8)
NOISE = np.random.default_rng(0).normal(0, 0.01, len(VIEWS))
TABLE = pd.DataFrame(
    {
        "view": VIEWS,
        "area": 0.2 + 0.08 * np.cos(VIEWS / 2.5) + NOISE,
        "iou": 0.94 - 0.02 * np.abs(np.sin(VIEWS / 3)) - np.abs(NOISE),
        "car_id": np.repeat([*"abcdefgh"], 16),
        "split": np.repeat(["train", "train", "train", "train", "train", "val", "test", "test"], 16),
    }
)
CARS = SimpleNamespace(
    table=TABLE.assign(width=480, height=320),
    images=np.full((len(TABLE), 32, 32, 3), 120, np.uint8),
    rows=lambda part: np.flatnonzero(TABLE["split"] == part),
)
TRIALS = pd.DataFrame(
    {
        "loss": ["bce", "bce", "bce", "bce_dice", "bce_dice", "bce_dice"],
        "learning_rate": [1e-4, 3e-4, 5e-4] * 2,
        "val_miou": [0.667, 0.712, 0.768, 0.801, 0.857, 0.868],  # cells from dark to light
    }
)
SHARE = np.linspace(0, 1, 20)
PHOTO = np.linspace(0, 255, 128 * 128 * 3).astype(np.uint8).reshape(128, 128, 3)
MASK = np.zeros((128, 128), np.uint8)
MASK[60:90, 40:100] = 1


def history(epochs: int) -> pd.DataFrame:
    fall = np.exp(-np.arange(epochs) / 2)
    return pd.DataFrame(
        {
            "epoch": range(1, epochs + 1),
            "train_loss": 0.24 + 0.22 * fall,
            "val_loss": 0.22 + 0.2 * fall,
            "val_miou": 0.93 - 0.06 * fall,
        }
    )


def behind(module, draw_it):
    """The figure behind a picture that a function of this module returns, before it becomes a JPEG."""
    made = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "as_jpeg", made.append)
        draw_it()
    return made[0]


def grid():
    """A grid of pictures with titles of several lengths."""
    photo = np.full((80, 120, 3), 90, np.uint8)
    titles = ["original", "from $5 to $6", "0a1b2c3d4e5f_07: IoU 0.912, the worst", "view 04"]
    pictures.picture_grid([photo] * 8, titles * 2, legend=pictures.ERROR_COLORS)


FIGURES = {
    "area_by_view": lambda: plots.area_by_view(TABLE),
    "split_sheet": lambda: behind(thumbnails, lambda: thumbnails.split_sheet(CARS)),
    "pixels": lambda: drawings.pixels(PHOTO, MASK),
    "number_grids": lambda: drawings.number_grids(
        {"picture": np.arange(25).reshape(5, 5), "weights": np.eye(3), "feature map": -np.eye(3)},
        {"picture": (0, 1, 3)},
    ),
    "descent": lambda: drawings.descent(lambda w: (2 * w - 6) ** 2, {"rate 0.02": [0, 0.5, 0.9], "0.26": [0, 6, -0.5]}),
    "unet_diagram": lambda: drawings.unet_diagram(trace_shapes(UNet(64), 256), PHOTO, MASK),
    "receptive_fields": lambda: drawings.receptive_fields(PHOTO, receptive_field(UNet(4))),
    "bars": lambda: plots.bars(["encoder 1", "bottleneck"], [0.02, 4.7], "parameters, millions", "{:.2f}"),
    "curves": lambda: plots.curves(
        {name: (SHARE, SHARE**power) for power, name in enumerate(["bce", "dice", "half of each"], 1)},
        "probability at a car pixel (car is 21 % of the picture)",
        "loss of a net that finds nothing",
    ),
    "curves_many": lambda: plots.curves({f"line {i}": (SHARE, SHARE**i) for i in range(14)}, "threshold", "mIoU"),
    "curves_log": lambda: plots.curves({"a": ([1, 5, 20], [0.5, 0.8, 0.9])}, "cars", "mIoU", log_x=True, marker="o"),
    "loss_curves": lambda: loss_plots.loss_curves(
        {"bce": (SHARE, SHARE), "dice": (SHARE, 1 - SHARE)},
        "share that is car",
        "loss",
        "An undecided net",
        carvana=True,
    ),
    "draw_range_test": lambda: rate_plots.draw_range_test(RANGE_TESTS["A"]),
    "draw_range_tests": lambda: rate_plots.draw_range_tests(RANGE_TESTS),
    "scatter": lambda: plots.scatter(SHARE, SHARE**2, "unsure pixels for each called car", "IoU of the prediction"),
    "heat_map": lambda: plots.heat_map(TRIALS),
    "learning_curves_1": lambda: plots.learning_curves(history(1)),
    "learning_curves_2": lambda: plots.learning_curves(history(2)),
    "learning_curves_40": lambda: plots.learning_curves(history(40)),
    "loss_panels": lambda: histories.loss_panels(six_runs()[0]),
    "iou_histogram": lambda: scores.iou_histogram(TABLE),
    "polar_by_view": lambda: scores.polar_by_view(TABLE),
    "drawn_means": lambda: scores.drawn_means({"cars": 0.9 + NOISE, "pictures": 0.9 + NOISE / 3}, 0.9),
    "picture_grid": lambda: behind(pictures, grid),
}


def draw(fig) -> np.ndarray:
    """(H, W, 4) uint8 as it is saved."""
    canvas = FigureCanvasAgg(fig)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def words(fig) -> list[Text]:
    """All texts that are drawn; Matplotlib also keeps labels of ticks beyond the ends of an axis."""
    found = {}
    plain = Text.draw

    def record(text, renderer):
        found[text] = text.get_text().strip()
        return plain(text, renderer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", record)
        draw(fig)
    return [text for text, said in found.items() if said]


def box_of(text: Text, height: int) -> tuple[slice, slice]:
    """Rows and columns that a text covers."""
    box = text.get_window_extent()
    rows = slice(max(0, int(height - box.y1)), int(np.ceil(height - box.y0)))
    return rows, slice(max(0, int(box.x0)), int(np.ceil(box.x1)))


@pytest.mark.parametrize("name", FIGURES)
def test_every_word_stands_out_from_what_is_under_it(name):
    """What lies under the words is drawn without them; even its worst fiftieth has a contrast of 4.5."""
    fig = FIGURES[name]()
    inks = {text: text.get_color() for text in words(fig)}
    for text in inks:
        text.set_color("none")
    without = draw(fig)
    assert len(inks) >= 3
    for text, ink in inks.items():
        under = without[box_of(text, len(without))].reshape(-1, 4)
        assert under.size, text.get_text()
        contrasts = [figures.contrast(ink, pixel[:3] / 255) for pixel in under[:: max(1, len(under) // 800)]]
        assert np.quantile(contrasts, 0.02) >= 4.5, f"{text.get_text()}: {np.quantile(contrasts, 0.02):.2f}"


@pytest.mark.parametrize("name", FIGURES)
def test_every_word_is_large_enough_at_half_width_and_whole(name):
    fig = FIGURES[name]()
    height, width, _ = draw(fig).shape
    for text in words(fig):
        assert text.get_fontsize() * fig.dpi / 72 / 2 >= 7.5, text.get_text()
        box = text.get_window_extent()
        inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1
        assert inside, f"{text.get_text()} is cut off: {box}"


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_has_its_own_white_paper(name, tmp_path):
    fig = FIGURES[name]()
    fig.savefig(tmp_path / "figure.png")
    saved = np.asarray(Image.open(tmp_path / "figure.png").convert("RGBA"))
    for picture in (draw(fig), saved):
        assert (picture[..., 3] == 255).all() and (picture[0, 0, :3] == 255).all()


def test_the_sheet_of_a_split_frames_each_part_and_counts_its_cars():
    fig = FIGURES["split_sheet"]()
    titles = [ax.get_title(loc="left") for ax in fig.axes]
    assert titles == ["train: 5 cars, 80 pictures", "val: 1 cars, 16 pictures", "test: 2 cars, 32 pictures"]
    assert [ax.spines["left"].get_edgecolor() for ax in fig.axes] == [
        to_rgba(color) for color in thumbnails.SPLIT_COLORS.values()
    ]
    shares = [np.mean(ax.images[0].get_array() == 120) for ax in fig.axes]
    assert shares[0] > 0.5 > shares[2] > shares[1] > 0.1, "a thumbnail for each car"
    many = SimpleNamespace(table=CARS.table.assign(car_id=range(128)), images=CARS.images, rows=CARS.rows)
    fig = behind(thumbnails, lambda: thumbnails.split_sheet(many))
    assert fig.axes[0].get_title(loc="left") == "train: 80 cars, 80 pictures"


def test_an_outline_is_seen_on_every_colour_and_leaves_the_rest():
    mask = np.zeros((20, 30), np.uint8)
    mask[5:15, 8:22] = 1
    for color in ("RED", "ORANGE", "YELLOW", "BLACK", "BLUE"):
        photo = np.full((20, 30, 3), 255 * np.array(to_rgb(getattr(figures, color))), np.uint8)
        drawn = pictures.outline(photo, mask)
        assert (
            drawn.shape == (320, 480, 3) and (drawn[160, 240] == photo[0, 0]).all() and (drawn[0] == photo[0, 0]).all()
        )
        line = np.unique(drawn[160].reshape(-1, 3), axis=0) / 255
        assert max(figures.contrast(one, photo[0, 0] / 255) for one in line) >= 3, color
    assert pictures.outline(np.zeros((700, 900, 3), np.uint8), np.zeros((700, 900))).shape == (700, 900, 3)
    assert not pictures.outline(np.zeros((20, 30, 3), np.uint8), np.ones((20, 30))).any(), "a car that fills all of it"


def test_a_grid_that_is_not_finished_has_empty_cells():
    fig = plots.heat_map(TRIALS[:5])
    said = [text.get_text() for text in fig.axes[0].texts]
    assert said == ["0.667", "0.712", "0.768", "0.801", "0.857"]


def test_the_pixels_shown_are_those_at_the_left_end_of_the_car():
    said = [text.get_text() for text in drawings.pixels(PHOTO, MASK).axes[2].texts]
    assert said == [*"00000", *"00000", *"00111", *"00111", *"00111"]
    assert len(drawings.pixels(PHOTO, 0 * MASK).axes[2].texts) == 25, "without a car the middle is shown"
    corner = np.zeros_like(MASK)
    corner[127, 0] = 1
    assert drawings.pixels(PHOTO, corner).axes[2].texts[20].get_text() == "1"


def test_receptive_fields_of_a_wide_photo_lie_around_its_cells():
    fig = drawings.receptive_fields(PHOTO[:64], receptive_field(UNet(4)))
    for ax, centers in zip(fig.axes, ([(64, 32)] * 5, [(side, side) for side in (0.5, 1, 2, 4, 8)]), strict=True):
        for line, center in zip(ax.get_lines(), centers, strict=True):
            corners = line.get_xydata()[:4] + 0.5
            assert np.allclose(corners.mean(0), center)


def test_contrast_is_wcags():
    assert figures.contrast("black", "white") == pytest.approx(21)
    assert figures.contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)
    assert figures.contrast("white", figures.ORANGE) == figures.contrast(figures.ORANGE, "white") < 2.3


def test_words_stand_out_on_every_colour_of_the_palette_and_of_the_maps():
    palette = [value for name, value in vars(figures).items() if name.isupper() and isinstance(value, str)]
    assert len(palette) == 8
    greys = [str(value) for value in np.linspace(0, 1, 101)]
    map_colors = [to_rgb(color) for color in figures.plt.get_cmap("cividis")(np.linspace(0, 1, 101))[:, :3]]
    for ground in (*palette, *greys, *map_colors):
        assert figures.contrast(figures.text_color(ground), ground) >= 4.5, ground


@pytest.mark.parametrize("epochs", [1, 2, 5])
def test_no_dot_of_the_learning_curves_is_cut_off_and_epochs_are_whole(epochs):
    fig = plots.learning_curves(history(epochs))
    draw(fig)
    for ax in fig.axes:
        top = ax.get_window_extent().y1
        for line in ax.get_lines():
            radius = line.get_markersize() * fig.dpi / 72 / 2
            dots = ax.transData.transform(line.get_xydata())
            assert dots[:, 1].max() + radius <= top, f"{dots[:, 1].max() + radius - top} pixels are cut off"
        low, high = ax.get_xlim()
        assert all(tick == round(tick) for tick in ax.get_xticks() if low <= tick <= high)
    assert fig.axes[0].get_ylim()[0] == 0


@pytest.mark.parametrize("count", [1, 5, 6, 28])
def test_all_lines_are_drawn_and_no_two_look_alike(count):
    fig = plots.curves({f"line {i}": (SHARE, SHARE + i) for i in range(count)}, "x", "y")
    lines = fig.axes[0].get_lines()
    assert len(lines) == len({(line.get_color(), line.get_linestyle()) for line in lines}) == count


def test_more_lines_than_can_be_told_apart_are_refused():
    with pytest.raises(ValueError, match="29 lines cannot be told apart"):
        plots.curves({str(i): (SHARE, SHARE) for i in range(29)}, "x", "y")


PAGE = """<!doctype html><meta charset="utf-8"><style>:root {{ color-scheme: {theme}; background: Canvas; }}
img {{ margin: 8px; vertical-align: top; max-width: {width}px; }}</style>{images}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_figures_are_the_same_on_a_light_and_a_dark_page(theme, chromium, tmp_path):
    """Whole figures, and at half their width, to be looked at in tests/screenshots."""
    for name, make in FIGURES.items():
        make().savefig(tmp_path / f"{name}.png")
    page = chromium.new_page(viewport={"width": 1500, "height": 900}, color_scheme=theme)
    SCREENSHOTS.mkdir(exist_ok=True)
    for size, width in {"whole": 900, "half": 360}.items():
        images = "".join(f"<img src='{name}.png' alt='{name}'>" for name in FIGURES)
        file = tmp_path / f"{size}.html"
        file.write_text(PAGE.format(theme=theme, width=width, images=images), encoding="utf8")
        page.goto(file.as_uri())
        shot = page.locator("img").first.screenshot(path=tmp_path / f"{size}.png")
        assert shot
        page.screenshot(path=SCREENSHOTS / f"figures_{size}_{theme}.png", full_page=True)
    page.close()
