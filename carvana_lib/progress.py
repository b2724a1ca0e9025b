"""Is somebody watching? Bars and live figures are for people; headless runs get plain lines."""

import os
import sys


def is_live() -> bool:
    """True in a kernel that Jupyter's server (it sets JPY_SESSION_NAME) or Voila started for a person; False under
    papermill, nbconvert, nbval and in plain scripts."""
    return "JPY_SESSION_NAME" in os.environ or os.environ.get("SERVER_SOFTWARE", "").startswith("voila/")


def progress(iterable, description: str, total: int | None = None, unit: str = "it"):
    """A tqdm bar over `iterable`, counting in `unit`, in JupyterLab and in terminals; the bare iterable elsewhere."""
    if is_live():
        from tqdm.notebook import tqdm
    elif sys.stderr.isatty():
        from tqdm import tqdm
    else:
        return iterable
    return tqdm(iterable, desc=description, total=total, unit=unit, leave=False)


def close(widget) -> None:
    """Close an ipywidget and all that is inside it; ipywidgets keeps every part that nobody closes."""
    for child in getattr(widget, "children", ()):
        close(child)
    for part in ("layout", "style"):
        if hasattr(widget, part):
            getattr(widget, part).close()
    widget.close()
