"""From the shown picture to a new mask: accept the prediction as it is, or draw on a mask and save that."""

import ipywidgets as W
import numpy as np

from carvana_course.browser.controls import close_widget
from carvana_course.browser.corrections import check_writable, save_mask
from carvana_course.browser.editor import MaskEditor
from carvana_course.browser.review import ACCEPTED, CORRECTED, add_change, now, shown_from
from carvana_course.show.pictures import stretch
from carvana_lib import CarvanaError, DataError, RunError
from carvana_lib.reading import read_mask
from carvana_lib.runs import remove

NEWEST = "newest correction"
PREDICTION = "prediction"
TRUE_MASK = "true mask"
FROM_NOTHING = "nothing"
MOST_PIXELS = 50_000_000  # of a photo to draw on; the page needs 20 bytes for each
LONGEST_SIDE = 16_384  # pixels of a canvas, in the browsers that allow least
OPENING = "<span role='status'>opening the picture; if nothing appears here, reload the page: {}</span>"
NEW_PACKAGE = "JupyterLab takes a package that was just installed only then"


class Correcting:
    """The masks that a person makes in one mask browser, in its folder `corrected`; the browser's review tells of each.

    Without `corrected` the browser shows none of it.
    """

    def __init__(self, browser):
        self.browser = browser
        self.folder = browser.corrected
        self.editor = None

    def starts(self, image_id: str) -> list[str]:
        """What a correction of this picture can start from, the likeliest first."""
        is_there = {
            NEWEST: image_id in self.browser.new_masks,
            PREDICTION: self.browser.has_probability,
            TRUE_MASK: self.browser.has_mask,
            FROM_NOTHING: True,
        }
        return [name for name, there in is_there.items() if there]

    def photo(self, position: int) -> np.ndarray:
        """(H, W, 3) uint8: the photo at its own size, read anew. Raises DataError where it cannot be drawn on."""
        photo = self.browser.read_original(position)
        height, width = photo.shape[:2]
        if height * width > MOST_PIXELS or max(height, width) > LONGEST_SIDE:
            limit = f"{MOST_PIXELS // 10**6} million, or {LONGEST_SIDE:,} on one side"
            raise DataError(f"a photo of {width}x{height} pixels is too large to draw on (at most {limit}); shrink it")
        return photo

    def start(self, position: int, name: str, shape: tuple[int, int]) -> tuple[np.ndarray, str]:
        """(mask (H, W) uint8 {0, 1} of the photo's shape, where it comes from). Raises DataError for none."""
        browser = self.browser
        image_id = str(browser.table.loc[position, "image_id"])
        if name == FROM_NOTHING:
            return np.zeros(shape, np.uint8), FROM_NOTHING
        if name == NEWEST:
            mask = read_mask(browser.new_masks[image_id])
            source = browser.new_masks[image_id].name
        elif name == PREDICTION:
            probability = browser.load(position)[2]
            threshold = browser.controls.threshold.value
            mask = None if probability is None else (stretch(probability, shape) >= threshold).astype(np.uint8)
            source = f"{PREDICTION} at threshold {threshold:.2f}"
        else:
            mask = browser.load(position)[1]
            source = browser.table.loc[position].get("mask", TRUE_MASK)  # its file, as `find_pairs` tells it
            source = source if isinstance(source, str) else TRUE_MASK
        if mask is None:
            raise DataError(f"it has no {name}; choose another start")
        if mask.shape != shape:
            sizes = f"its {name} is {mask.shape[1]}x{mask.shape[0]}, the photo is {shape[1]}x{shape[0]}"
            raise DataError(f"{sizes}; give MaskBrowser both at the photo's own size")
        return mask, source

    def accept(self, _=None) -> None:
        """Save the prediction as it is shown, at the browser's threshold."""
        browser = self.browser
        position = browser.position
        if position is None:
            return
        try:
            check_writable(self.folder)
            mask, source = self.start(position, PREDICTION, self.photo(position).shape[:2])
            browser.show_status(self.keep(position, ACCEPTED, mask, mask, source))
        except Exception as error:  # the caller's functions may raise anything
            browser.show_status(f"{browser.table.loc[position, 'image_id']} is not accepted: {error}")

    def open(self, _=None) -> None:
        """Turn the shown picture into a drawing surface."""
        browser = self.browser
        position = browser.position
        if position is None:
            return
        image_id = str(browser.table.loc[position, "image_id"])
        try:
            check_writable(self.folder)
            photo = self.photo(position)
            mask, source = self.start(position, browser.controls.start.value, photo.shape[:2])
        except Exception as error:
            browser.show_status(f"{image_id} cannot be corrected: {error}")
            return
        before = mask.copy()

        def save(drawn):
            said = self.keep(position, CORRECTED, drawn, before, source)
            self.close()
            browser.show_status(said)
            return said

        back = W.Button(description="back")
        back.on_click(lambda _: self.close())
        waiting = W.HBox([W.HTML(OPENING.format(NEW_PACKAGE)), back])

        def opened():
            waiting.layout.display = "none"

        self.editor = MaskEditor(photo, mask, image_id, browser.controls.opacity.value, opened, save, self.close)
        self.editor.layout.width = "100%"
        browser.controls.spin.value = False
        browser.controls.draw_on([waiting, self.editor])

    def close(self) -> None:
        """Back to the browser."""
        for widget in self.browser.controls.draw_on([]):
            close_widget(widget)
        self.editor = None

    def keep(self, position: int, action: str, mask: np.ndarray, before: np.ndarray, source: str) -> str:
        """Write a mask and its row in the review, both or neither; a sentence. Raises RunError where that fails."""
        browser = self.browser
        image_id = str(browser.table.loc[position, "image_id"])
        path = save_mask(self.folder, image_id, mask)
        added = np.count_nonzero(mask > before)
        removed = np.count_nonzero(mask < before)
        row = {"image_id": image_id, "action": action, "who": browser.who, "when": now(), "source": source}
        row |= {"file": shown_from(path, browser.review.parent), "added": added, "removed": removed}
        try:
            add_change(browser.review, row, browser.table)
        except (CarvanaError, ValueError) as error:
            remove(path)
            raise RunError(str(error)) from error
        browser.new_masks[image_id] = path
        browser.cached_title.cache_clear()
        browser.drawing.renew()
        browser.show(position)
        return f"{action}: {path}, {added:,} pixels added and {removed:,} removed"
