"""Google's trending feed, Wikimedia's pageviews, Hacker News and a plain feed on the loopback.

Each answers its own paths only, as strictly as the real one: Wikimedia refuses a client that does
not name itself and has no numbers for days to come; Google and the plain feed know ETags.
"""

import hashlib
import re
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from xml.sax.saxutils import escape

from aiohttp import web
from standins.server import Refusal, Server

HT = "https://trends.google.com/trending/rss"
SCRIPTED_AGENT = re.compile(r"^(?:python-)?(?:httpx|requests|aiohttp|curl|wget)/", re.IGNORECASE)


class Feeds(Server):
    """`now` is the services' clock; the lists are what they tell and may be changed."""

    def __init__(self, *, now: datetime) -> None:
        super().__init__()
        self.now = now
        self.searches = [("wordle", "2000+", ["Wordle fans are cross"]), ("F1", "20K+", [])]
        self.views = {
            now.date() - timedelta(days=days): [
                ("Main_Page", "en.wikipedia", 900_000),
                ("Special:Search", "en.wikipedia", 800_000),
                ("Steam_Deck", "en.wikipedia", 100_000),
                ("Pigeon_(bird)", "en.wikipedia", 40_000),
                ("File:Cat.jpg", "commons.wikimedia", 30_000),
            ]
            for days in (1, 2, 3)
        }
        self.stories = {
            101: story(101, "Postgres 18 released", 100, now),
            102: story(102, "how to be good at everything all of the time", 90, now),
            103: story(103, "Why SQLite does not use Git", 1000, now),
        }
        self.headlines = [("Capybara escapes the zoo again", now - timedelta(hours=1))]

    @property
    def rss_url(self) -> str:
        return f"{self.url}/trending/rss"

    @property
    def wikipedia_url(self) -> str:
        return f"{self.url}/api/rest_v1"

    @property
    def hackernews_url(self) -> str:
        return f"{self.url}/v0"

    @property
    def feed_url(self) -> str:
        return f"{self.url}/private/s3cret-token/feed.xml"

    def routes(self):
        top = "/api/rest_v1/metrics/pageviews/top-per-country/{country}/{access}/{y}/{m}/{d}"
        return [
            ("GET", "/trending/rss", "google", self._google),
            ("GET", top, "wikipedia", self._wikipedia),
            ("GET", "/v0/topstories.json", "topstories", self._top_stories),
            ("GET", "/v0/item/{number}.json", "item", self._item),
            ("GET", "/private/s3cret-token/feed.xml", "feed", self._feed),
            ("GET", "/{elsewhere:.*}", "elsewhere", self._elsewhere),
        ]

    def _google(self, request):
        if not re.fullmatch(r"[A-Z]{2}", request.query.get("geo", "")):
            raise Refusal(400, {"error": "geo"})
        items = "".join(
            f"<item><title>{escape(name)}</title><ht:approx_traffic>{traffic}</ht:approx_traffic>"
            f"<pubDate>{format_datetime(self.now)}</pubDate>"
            + "".join(
                f"<ht:news_item><ht:news_item_title>{escape(title)}</ht:news_item_title>"
                "</ht:news_item>"
                for title in titles
            )
            + "</item>"
            for name, traffic, titles in self.searches
        )
        return _conditional(request, f'<rss xmlns:ht="{HT}" version="2.0">{items}</rss>')

    def _wikipedia(self, request):
        agent = request.headers.get("user-agent", "")
        if SCRIPTED_AGENT.match(agent) or not re.match(r"[\w-]+/[\d.]+ \([^)]{10,}\)", agent):
            return web.Response(
                status=403,
                text="Please set a user-agent and respect our robot policy https://w.wiki/4wJS.",
            )
        country, access, year, month, day = request.path.split("/")[-5:]
        if access not in ("all-access", "desktop", "mobile-web") or not re.fullmatch(
            r"[A-Z]{2}/\d{4}/\d\d/\d\d", f"{country}/{year}/{month}/{day}"
        ):
            raise Refusal(400, {"title": "Bad request", "status": 400})
        articles = self.views.get(date(int(year), int(month), int(day)))
        if articles is None:
            detail = "The date(s) you used are valid, but we either do not have data for those"
            raise Refusal(404, {"title": "Not found.", "status": 404, "detail": detail})
        ranked = [
            {"article": title, "project": project, "views_ceil": views, "rank": rank}
            for rank, (title, project, views) in enumerate(articles, 1)
        ]
        item = {"country": country, "access": access, "year": year, "month": month, "day": day}
        return {"items": [{**item, "articles": ranked}]}

    def _top_stories(self, request):
        return list(self.stories)

    def _item(self, request):
        number = request.path.rpartition("/")[2].removesuffix(".json")
        return self.stories.get(int(number))  # null for one that is not there, as the real one

    def _feed(self, request):
        items = "".join(
            f"<item><title>{escape(title)}</title><pubDate>{format_datetime(at)}</pubDate></item>"
            for title, at in self.headlines
        )
        body = f'<rss version="2.0"><channel><title>A feed</title>{items}</channel></rss>'
        return _conditional(request, body)

    def _elsewhere(self, request):
        raise Refusal(404, {"error": "no such path"})


def story(number, title, points, now, **fields):
    return {
        "by": "someone",
        "descendants": 3,
        "id": number,
        "score": points,
        "time": int(now.astimezone(UTC).timestamp()) - 3600,
        "title": title,
        "type": "story",
        "url": "https://example.com/",
        **fields,
    }


def _conditional(request, text):
    etag = f'"{hashlib.sha256(text.encode()).hexdigest()[:16]}"'
    if request.headers.get("if-none-match") == etag:
        return web.Response(status=304, headers={"ETag": etag})
    return web.Response(text=text, content_type="application/rss+xml", headers={"ETag": etag})
