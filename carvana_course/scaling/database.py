"""The database that machines share for a search: what CARVANA_STORAGE says, and how it may be shown."""

import os
import re
import urllib.parse

from carvana_lib import RunError


def database() -> str:
    """The URL in CARVANA_STORAGE, or nothing. Raises RunError, which repeats no part of it, for what is none."""
    text = os.environ.get("CARVANA_STORAGE", "")
    try:
        url = urllib.parse.urlsplit(text)
        if text and (not url.scheme or not url.path.strip("/") or "@" in url.path or url.port == 0):
            raise ValueError
    except ValueError:
        raise RunError(
            "CARVANA_STORAGE is not the URL of a database; it takes postgresql://user:password@host:5432/name, "
            "with %40 for an @ in the password, %2F for a / and so on"
        ) from None
    return re.sub("^postgres(ql)?:", "postgresql+psycopg:", text)


def shown(url: str) -> str:
    """The URL without password, and without options, which could hold one."""
    user, at, rest = url.partition("?")[0].rpartition("@")
    return re.sub(r"(://[^:]*):.*", r"\1", user) + at + rest
