"""Is somebody watching? Bars and live figures are for people; headless runs get plain lines."""

import os
import sys


def is_live() -> bool:
    """True in a kernel that Jupyter's server or Voila started: for a person. Used by `open_data` in 01."""
    return "JPY_SESSION_NAME" in os.environ or os.environ.get("SERVER_SOFTWARE", "").startswith("voila/")


def progress(iterable, description: str, total: int | None = None, unit: str = "it"):
    """A tqdm bar over `iterable` where somebody watches; the bare iterable elsewhere. Used by `open_data` in 01."""
    if is_live():
        from tqdm.notebook import tqdm
    elif sys.stderr.isatty():
        from tqdm import tqdm
    else:
        return iterable
    return tqdm(iterable, desc=description, total=total, unit=unit, leave=False)
