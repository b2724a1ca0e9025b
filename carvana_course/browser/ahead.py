"""What the mask browser makes in a thread of its own: neighbours before anybody asks, thumbnails, larger pictures.

The thread never has the last word: what a person has left meanwhile is dropped, here or in the page.
"""

from collections import deque
from concurrent.futures import ThreadPoolExecutor

KEPT = 48  # pictures that wait in the page; viewer.js has the same number


class Ahead:
    """The thread of one mask browser."""

    def __init__(self, browser):
        self.browser = browser
        self.executor = None
        self.futures = []  # of the neighbours
        self.version = 0
        self.sent = deque(maxlen=KEPT)  # rows whose pictures of this version the page has

    def open(self) -> None:
        """Take a thread."""
        self.executor = ThreadPoolExecutor(1)

    def close(self) -> None:
        """Give it back."""
        self.executor.shutdown(cancel_futures=True)

    def prefetch(self) -> None:
        """Send to the page the pictures to which the next steps and turns lead, so that it need not wait for them."""
        browser = self.browser
        for future in self.futures:
            future.cancel()
        if browser.position is None:
            return
        if self.version != browser.drawing.version:
            self.version = browser.drawing.version
            self.sent.clear()
        near = browser.controls.viewer.shown["near"]
        further = [int(browser.order[(browser.place() + by) % len(browser.order)]) for by in (2, 3)]
        wanted = dict.fromkeys([near["step"][1], near["turn"][1], near["step"][0], near["turn"][0], *further])
        settings = browser.settings()
        missing = [position for position in wanted if position not in (browser.position, *self.sent)]
        self.futures = [self.executor.submit(self.make_next, position, self.version, settings) for position in missing]

    def make_next(self, position: int, version: int, settings: tuple) -> None:
        browser = self.browser
        try:
            shown = browser.drawing.of(position, *settings)
        except Exception:  # the caller's functions may raise anything; it is told when this picture's turn comes
            return
        if version == browser.drawing.version:
            jpegs = [picture.pop("jpeg") for picture in shown["pictures"]]
            browser.controls.viewer.send({"kind": "ahead", "shown": shown | {"version": version}}, jpegs)
            self.sent.append(position)

    def send_thumbnails(self, positions: list[int]) -> None:
        """Make these rows' thumbnails and send them to the page, those that cannot be made as nothing."""
        self.executor.submit(self.make_thumbnails, positions)

    def make_thumbnails(self, positions: list[int]) -> None:
        browser = self.browser
        found = {}
        for position in positions:
            if position not in [one["position"] for one in browser.controls.viewer.shown["strip"]]:
                continue  # the page has gone on, and asks again should it come back
            try:
                found[position] = browser.cached_thumbnail(position)
            except Exception:  # the caller's functions may raise anything; the picture itself says what
                found[position] = b""
        browser.controls.viewer.send({"kind": "thumbnails", "positions": list(found)}, list(found.values()))

    def send_larger(self, key: int) -> None:
        """Make the shown pictures from the photo of its own size, for a page that has zoomed into them."""
        browser = self.browser
        if key == browser.controls.viewer.shown["key"]:
            self.executor.submit(self.make_larger, key, browser.position, *browser.settings())

    def make_larger(self, key: int, position: int, names: list[str], opacity: float, threshold: float) -> None:
        viewer = self.browser.controls.viewer
        if key != viewer.shown["key"]:
            return
        try:
            found = [self.browser.larger_jpeg(position, name, opacity, threshold) for name in names]
        except Exception:  # the smaller pictures stay
            return
        viewer.send({"kind": "larger", "key": key}, found)
