"""The articles that a country reads most on Wikipedia, of yesterday.

At most two requests per fetch: yesterday's numbers may not be there yet, then those of the day
before are asked for. Countries that Wikimedia protects have none; that is a failure, and no other
country stands in for them. The score is the logarithm of the views, ten million being the
highest: a reader counts less than a search, because many articles are read every day.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from math import log10
from typing import Any

from pipeline.providers.trends.answers import Answers
from pipeline.providers.trends.download import USUAL, Limits, Missing, Visit
from pipeline.providers.trends.text import LONGEST_NAME, plain, read_json
from pipeline.sections import TrendItem

MOST_VIEWS = 7  # as a power of ten
# Read every day, or not about anything: namespaces, front pages, lists, robots' favourites.
_NO_TOPIC = re.compile(
    r"[A-Za-zÀ-ÿ_ ]{3,30}:\S|main_page$|search$|undefined$|index\.(?:php|html)|\.?xxx"
    r"|(?:list|deaths|index|outline)_(?:of|in)_|[-–]$|\d+$"
    r"|(?:wikipedia|wikimedia|cleopatra|google(?:_search)?|youtube|facebook|instagram|chatgpt)$",
    re.IGNORECASE,
)
_NOTE = re.compile(r"_\([^()]*\)$")


class WikipediaTrends:
    name = "wikipedia"

    def __init__(
        self,
        *,
        url: str,
        region: str,
        answers: Answers | None = None,
        limits: Limits = USUAL,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`url` is the root of the REST API, as in https://wikimedia.org/api/rest_v1."""
        self._url = url.rstrip("/")
        self._region = region
        self._answers = answers
        self._limits = limits
        self._now = now

    def fetch(self, limit: int) -> list[TrendItem]:
        """Raises ProviderError; `retryable` says whether it may work later."""
        yesterday = self._now().astimezone(UTC).date() - timedelta(days=1)
        with Visit(self.name, self._limits, self._answers) as visit:
            try:
                items = self._read(visit, yesterday)
            except Missing:
                items = self._read_older(visit, yesterday - timedelta(days=1))
        return items[: max(limit, 0)]

    def _read_older(self, visit: Visit, day: date) -> list[TrendItem]:
        try:
            return self._read(visit, day)
        except Missing as error:
            raise visit.failure(
                f"there are no numbers for {self._region} of the last two days", retryable=True
            ) from error

    def _read(self, visit: Visit, day: date) -> list[TrendItem]:
        path = f"metrics/pageviews/top-per-country/{self._region}/all-access/{day:%Y/%m/%d}"
        return visit.read(f"{self._url}/{path}", lambda body: self._items(visit, body, day))

    def _items(self, visit: Visit, body: bytes, day: date) -> list[TrendItem]:
        items: dict[str, TrendItem] = {}
        for article in _articles(read_json(self.name, body)):
            item = self._item(article, day)
            if item is not None:
                items.setdefault(item.name.casefold(), item)
        if not items:
            raise visit.failure("the answer has no articles", retryable=True)
        return list(items.values())

    def _item(self, article: Any, day: date) -> TrendItem | None:
        if not isinstance(article, dict):
            return None
        title, project = article.get("article"), article.get("project")
        views = article.get("views_ceil")
        if not isinstance(title, str) or not isinstance(project, str):
            return None
        if not project.endswith(".wikipedia") or not isinstance(views, int) or views <= 0:
            return None
        title = title[:500]
        name = plain(_NOTE.sub("", title).replace("_", " "), LONGEST_NAME)
        if _NO_TOPIC.match(title) or not name:
            return None
        return TrendItem(
            name=name,
            score=score_of(views),
            timestamp=datetime.combine(day, time(), UTC),
            source=self.name,
            region=self._region,
        )


def score_of(views: int) -> float:
    """Views of a day on a logarithmic scale, 0 to 1: log10(views) / 7, 100,000 is 0.714."""
    return round(min(log10(min(max(views, 1), 10**12)) / MOST_VIEWS, 1.0), 3)


def _articles(answer: Any) -> list[Any]:
    """The list of the one item; empty for every other shape."""
    try:
        articles = answer["items"][0]["articles"]
    except (LookupError, TypeError):
        return []
    return articles[:1000] if isinstance(articles, list) else []
