"""What Hacker News talks about: the stories on its front page.

One request for the list and one for each of its first stories, at most 20, four at a time. Titles
are headlines; a story whose headline names nothing is left out. The score is the logarithm of the
points, ten thousand being the highest.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from math import log10
from typing import Any

from pipeline.errors import ProviderError
from pipeline.providers.trends.download import USUAL, Limits, Visit
from pipeline.providers.trends.headlines import topic_of
from pipeline.providers.trends.text import LONGEST_HEADLINE, plain, read_json
from pipeline.sections import TrendItem

MOST_STORIES = 20
AT_ONCE = 4
MOST_POINTS = 4  # as a power of ten


class HackerNewsTrends:
    name = "hackernews"

    def __init__(
        self,
        *,
        url: str,
        limits: Limits = USUAL,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`url` is the root of the API, as in https://hacker-news.firebaseio.com/v0.

        It is asked without conditions: its answers carry no validators.
        """
        self._url = url.rstrip("/")
        self._limits = limits
        self._now = now

    def fetch(self, limit: int) -> list[TrendItem]:
        """Raises ProviderError when the list or every story fails; some may be missing."""
        with Visit(self.name, self._limits) as visit:
            numbers = visit.read(f"{self._url}/topstories.json", self._numbers)
            if not numbers:
                raise visit.failure("the list has no stories", retryable=True)
            with ThreadPoolExecutor(AT_ONCE) as threads:
                stories = list(threads.map(lambda n: self._story(visit, n), numbers))
        answered = [story for story in stories if not isinstance(story, ProviderError)]
        if not answered:
            raise next(story for story in stories if isinstance(story, ProviderError))
        items = [item for story in answered if (item := self._item(story)) is not None]
        return items[: max(limit, 0)]

    def _numbers(self, body: bytes) -> list[int]:
        listed = read_json(self.name, body)
        if not isinstance(listed, list):
            raise ProviderError(self.name, "the list of stories is none", True)
        numbers = [n for n in listed if type(n) is int and 0 < n < 10**12]
        return numbers[:MOST_STORIES]

    def _story(self, visit: Visit, number: int) -> Any:
        """What the answer says, or the error."""
        try:
            return visit.read(
                f"{self._url}/item/{number}.json", lambda body: read_json(self.name, body)
            )
        except ProviderError as error:
            return error

    def _item(self, story: Any) -> TrendItem | None:
        if not isinstance(story, dict) or story.get("type") != "story":
            return None
        if story.get("dead") or story.get("deleted"):
            return None
        headline = plain(story.get("title"), LONGEST_HEADLINE)
        name = topic_of(headline)
        points = story.get("score")
        if name is None or type(points) is not int:
            return None
        return TrendItem(
            name=name,
            score=score_of(points),
            timestamp=self._time_of(story.get("time")),
            source=self.name,
            headlines=(headline,),
        )

    def _time_of(self, seconds: object) -> datetime:
        now = self._now()
        if type(seconds) is not int or not 0 < seconds < now.timestamp():
            return now
        return datetime.fromtimestamp(seconds, UTC)


def score_of(points: int) -> float:
    """Points on a logarithmic scale, 0 to 1: log10(points) / 4, a hundred is 0.5."""
    return round(min(log10(min(max(points, 1), 10**9)) / MOST_POINTS, 1.0), 3)
