"""Work in threads with a bound on what is in memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor


def bounded_map(threads: ThreadPoolExecutor, function: Callable, items: Iterable, limit: int) -> Iterator:
    """Yield function(item) for each item, in order, while at most `limit` of them are being worked on or waiting.

    Unlike `ThreadPoolExecutor.map` it takes from `items` only as fast as results are taken from it, so streams of any
    length can be joined one behind another. What `function` raises is raised here, in its turn.
    """
    pending = deque()
    for item in items:
        pending.append(threads.submit(function, item))
        if len(pending) == limit:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()
