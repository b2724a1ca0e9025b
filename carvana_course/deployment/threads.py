"""Work in threads with a bound on what is in memory."""

from collections import deque
from concurrent.futures import Executor


def ahead(threads: Executor, function, items, limit: int):
    """Yield function(item) for each item, in order, while at most `limit` of them are being worked on or waiting.

    Unlike `Executor.map` it takes from `items` only as fast as results are taken from it, so streams of any length
    can be joined to a pipeline. What `function` raises is raised here, in its turn.
    """
    waiting = deque()
    for item in items:
        waiting.append(threads.submit(function, item))
        if len(waiting) == limit:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
