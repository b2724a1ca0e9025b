"""Is somebody watching? Bars and live figures are for people; headless runs get plain lines."""

import os
import sys


def is_live() -> bool:
    """True where Jupyter's server, Voila or VS Code shows the notebook to a person. Used by `open_data` in 01."""
    by_voila = os.environ.get("SERVER_SOFTWARE", "").startswith("voila/")
    return by_voila or "JPY_SESSION_NAME" in os.environ or hasattr(sys.modules["__main__"], "__vsc_ipynb_file__")


def progress(iterable, description: str, total: int | None = None, unit: str = "it"):
    """A tqdm bar over `iterable` where somebody watches; the bare iterable elsewhere. Used by `open_data` in 01."""
    if not is_live() and not sys.stderr.isatty():
        return iterable
    from tqdm import notebook, tqdm

    bar = notebook.tqdm if is_live() else tqdm
    return bar(iterable, desc=description, total=total, unit=unit, leave=False)
