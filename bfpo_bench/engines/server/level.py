"""How many requests one server gets at once: a level that is found while it answers. No clock in here."""

from __future__ import annotations

FIRST = 8
"""Requests at once to begin with."""
GAIN = 1.1
"""Twice the requests must bring at least this many times the throughput to be worth it."""
REST = 6
"""Windows at one level before a higher one is tried again."""
SHORTEST = 0.1
"""Seconds that a window takes at least: the throughput of less is noise."""


class Level:
    """`limit` requests at once. It doubles while that raises the throughput, and halves when the
    server pushes back: additive steps would need too long, with a few thousand requests in all.

    The throughput is measured over windows of `limit` answers, after as many more that still belong
    to the level before. A level that brought nothing is left again, and a higher one tried after
    REST windows: answers differ in length, and servers in what else they have to do.
    """

    def __init__(self, most: int, first: int = FIRST) -> None:
        self.most = most
        self.limit = min(first, most)
        self._before: int | None = None
        """The level from which this one is tried; None at a level that is known."""
        self._rate = 0.0
        """Work a second at the known level."""
        self._resting = 0
        self._change(self.limit, 0.0)

    def _change(self, limit: int, now: float) -> None:
        self.limit = max(1, min(limit, self.most))
        self._changed = now
        self._passed_over = self.limit
        self._open(now)

    def _open(self, now: float) -> None:
        self._opened, self._answers, self._work = now, 0, 0.0

    def answered(self, now: float, work: float) -> None:
        """An answer came at `now` (seconds); `work` is what it took, in tokens or whatever is steady."""
        if self._passed_over:
            self._passed_over -= 1
            self._open(now)
            return
        self._answers += 1
        self._work += work
        if self._answers >= self.limit and now - self._opened >= SHORTEST:
            self._window(self._work / (now - self._opened), now)

    def _window(self, rate: float, now: float) -> None:
        if self._before is not None and rate < GAIN * self._rate:
            self._resting = REST
            before, self._before = self._before, None
            self._change(before, now)
            return
        self._before, self._rate = None, rate
        if self._resting:
            self._resting -= 1
            self._open(now)
        elif self.limit < self.most:
            self._before = self.limit
            self._change(2 * self.limit, now)
        else:
            self._open(now)

    def pushed_back(self, now: float, sent: float) -> None:
        """The server has too much to do, it says of a request that was sent at `sent`; one that was
        sent before the last change says nothing of this level."""
        if sent < self._changed:
            return
        self._before, self._resting = None, REST
        self._change(self.limit // 2, now)
