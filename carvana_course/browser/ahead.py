"""What the mask browser makes in a thread of its own: neighbours before anybody asks, thumbnails, larger pictures.

The thread never has the last word: what a person has left meanwhile is dropped, here or in the page.
"""

from concurrent.futures import ThreadPoolExecutor


class Ahead:
    """The thread of one mask browser."""

    def __init__(self, browser):
        self.browser = browser
        self.executor = None
        self.futures = []  # of the neighbours

    def open(self) -> None:
        """Take a thread."""
        self.executor = ThreadPoolExecutor(1)

    def close(self) -> None:
        """Give it back."""
        self.executor.shutdown(cancel_futures=True)

    def prefetch(self) -> None:
        """Prepare the pictures before and after the shown one, and the next view."""
        browser = self.browser
        for future in self.futures:
            future.cancel()
        if browser.position is None:
            return
        c = browser.controls
        after = int(browser.order[(browser.place() + 1) % len(browser.order)])
        before = int(browser.order[browser.place() - 1])
        views = c.view_slider.options
        next_view = views[(c.play.value + 1) % len(views)][1]
        near = [position for position in (after, before, next_view) if position != browser.position]
        self.futures = [
            self.executor.submit(browser.drawing.prepare, position, *browser.settings()) for position in near
        ]

    def send_thumbnails(self, positions: list[int]) -> None:
        """Make these rows' thumbnails and send them to the page, those that cannot be made as nothing."""
        self.executor.submit(self.make_thumbnails, positions)

    def make_thumbnails(self, positions: list[int]) -> None:
        browser = self.browser
        found = []
        wanted = []
        for position in positions:
            if position not in [one["position"] for one in browser.controls.viewer.shown["strip"]]:
                continue  # the page has gone on, and asks again should it come back
            wanted.append(position)
            try:
                with browser.drawing.lock:
                    found.append(browser.cached_thumbnail(position))
            except Exception:  # the caller's functions may raise anything; the picture itself says what
                found.append(b"")
        browser.controls.viewer.send({"kind": "thumbnails", "positions": wanted}, found)

    def send_larger(self, key: int) -> None:
        """Make the shown pictures from the photo of its own size, for a page that has zoomed into them."""
        browser = self.browser
        if browser.position is not None and key == browser.controls.viewer.shown["key"]:
            self.executor.submit(self.make_larger, key, browser.position, *browser.settings())

    def make_larger(self, key: int, position: int, names: list[str], opacity: float, threshold: float) -> None:
        viewer = self.browser.controls.viewer
        with self.browser.drawing.lock:
            if key != viewer.shown["key"]:
                return
            try:
                found = [self.browser.larger_jpeg(position, name, opacity, threshold) for name in names]
            except Exception:  # the smaller pictures stay
                return
        viewer.send({"kind": "larger", "key": key}, found)
