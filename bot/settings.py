"""Every setting, read once from the environment and `.env`; everybody else is handed values."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AnyHttpUrl,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from bot.choices import PublisherName, VoiceName, WriterName, voices_config, writer_config
from bot.env_file import refuse_unreadable
from pipeline.addresses import checked
from pipeline.config import (
    ImagesConfig,
    StudioConfig,
    TrendsConfig,
    VideoConfig,
)
from pipeline.errors import UserError

Snowflake = Annotated[int, Field(gt=0, lt=2**63)]
EXAMPLES = {
    "INSIGHTS_AFTER": "1h,24h,7d",
    "INSTAGRAM_USER_ID": "17841400000000000",
    "TRENDS_REGION": "US",
}
"""What a value that must fit a pattern looks like."""
CORRECT_IT = "; correct it in .env or the environment."
DISCORD_API = "https://discord.com/api/v10"


class Settings(BaseSettings):
    """The names are the environment's, in lower case; an empty value means unset."""

    model_config = SettingsConfigDict(
        env_file_encoding="utf-8", env_ignore_empty=True, extra="forbid", frozen=True
    )

    discord_token: SecretStr | None = None
    discord_guild_id: Snowflake | None = None
    discord_approval_channel_id: Snowflake | None = None
    discord_approver_role_id: Snowflake | None = None
    discord_api_url: str = DISCORD_API
    approvals_needed: Annotated[int, Field(ge=1, le=50)] = 1
    alert_user_id: Snowflake | None = None
    data_dir: Path = Path("data")
    show: str = "butcher_and_nutsy"

    openai_api_key: SecretStr | None = None
    openai_base_url: str = ""
    anthropic_api_key: SecretStr | None = None
    anthropic_base_url: str = ""
    llm_model: str = ""
    elevenlabs_api_key: SecretStr | None = None
    elevenlabs_base_url: str = ""
    elevenlabs_voice_butcher: str = ""
    elevenlabs_voice_nutsy: str = ""
    elevenlabs_model: str = ""
    voice_concurrency: Annotated[int, Field(ge=1, le=32)] = 4

    meta_access_token: SecretStr | None = None
    meta_app_id: str = ""
    meta_app_secret: SecretStr | None = None
    instagram_user_id: Annotated[str, Field(pattern=r"^\d*$")] = ""
    instagram_graph_url: str = "https://graph.facebook.com/v26.0"
    instagram_upload_url: str = "https://rupload.facebook.com"
    ai_label: bool = True

    trends: Literal["auto", "offline"] = "auto"
    trends_rss_url: str = "https://trends.google.com/trending/rss"
    trends_wikipedia_url: str = "https://wikimedia.org/api/rest_v1"
    trends_hackernews_url: str = "https://hacker-news.firebaseio.com/v0"
    trends_feeds: str = ""
    trends_region: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] = "US"
    writer: Literal["auto", "openai", "anthropic", "offline"] = "auto"
    voice: Literal["auto", "elevenlabs", "offline"] = "auto"
    images: Literal["library", "diffusion"] = "library"
    publisher: Literal["auto", "instagram", "folder"] = "auto"

    publish_cron: str = "0 18 * * *"
    make_cron: str = ""
    backlog_days: Annotated[int, Field(ge=0, le=60)] = 3
    timezone: str = "UTC"
    insights_after: Annotated[str, Field(pattern=r"^\d+[hd](,\d+[hd])*$")] = "1h,24h,7d"
    render_workers: Annotated[int, Field(ge=1, le=64)] = max(1, (os.cpu_count() or 2) - 1)
    daily_budget_usd: Annotated[float, Field(ge=0)] | None = None
    monthly_budget_usd: Annotated[float, Field(ge=0)] | None = None
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    structured_logging: bool = False
    hf_token: SecretStr | None = None
    max_hashtags: Annotated[int, Field(ge=1, le=30)] = 5
    script_lines_min: Annotated[int, Field(ge=4, le=20)] = 5
    script_lines_max: Annotated[int, Field(ge=4, le=20)] = 12
    video_fps: Annotated[int, Field(ge=23, le=60)] = 30
    heartbeat_url: AnyHttpUrl | None = None

    @field_validator(
        "discord_token",
        "openai_api_key",
        "anthropic_api_key",
        "elevenlabs_api_key",
        "meta_access_token",
        "meta_app_secret",
        "hf_token",
    )
    @classmethod
    def _can_be_sent(cls, secret: SecretStr | None) -> SecretStr | None:
        """No header carries other characters; copied keys bring spaces and invisible ones along."""
        text = secret.get_secret_value().strip() if secret else ""
        if not (text.isascii() and text.isprintable()):
            raise ValueError("holds a character that no key has; copy it once more")
        return SecretStr(text) if text else None

    @field_validator("timezone")
    @classmethod
    def _zone_exists(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(
                f"there is no time zone {name}; write one like Europe/Paris"
            ) from error
        return name

    @field_validator("publish_cron", "make_cron")
    @classmethod
    def _cron_parses(cls, text: str, info: ValidationInfo) -> str:
        from bot.scheduler import Schedule  # APScheduler is slow to import

        if text:
            name = str(info.field_name).upper()
            try:
                Schedule(text, ZoneInfo("UTC"), name=name)
            except UserError as error:
                raise ValueError(str(error).removeprefix(f"{name}: ")) from error
        return text

    @field_validator("log_level", mode="before")
    @classmethod
    def _in_capitals(cls, level: object) -> object:
        return level.upper() if isinstance(level, str) else level

    @field_validator("data_dir")
    @classmethod
    def _from_home(cls, path: Path) -> Path:
        try:
            return path.expanduser()
        except RuntimeError as error:
            raise ValueError("names the home of somebody who has none") from error

    @field_validator(
        "discord_api_url",
        "anthropic_base_url",
        "elevenlabs_base_url",
        "instagram_graph_url",
        "instagram_upload_url",
        "trends_rss_url",
        "trends_wikipedia_url",
        "trends_hackernews_url",
    )
    @classmethod
    def _https_or_loopback(cls, url: str) -> str:
        return checked(url) if url else url

    @field_validator("openai_base_url")
    @classmethod
    def _https_or_near(cls, url: str) -> str:
        """The one service that people run themselves, often on another machine at home."""
        return checked(url, lan=True) if url else url

    @field_validator("trends_feeds")
    @classmethod
    def _addresses(cls, text: str) -> str:
        if ",http" in text:
            raise ValueError("write a space between two addresses, not a comma")
        return " ".join(checked(url) for url in text.split())

    @model_validator(mode="after")
    def _fit_together(self) -> Settings:
        if self.script_lines_min > self.script_lines_max:
            raise ValueError("SCRIPT_LINES_MIN is greater than SCRIPT_LINES_MAX")
        role, guild = self.discord_approver_role_id, self.discord_guild_id
        if role is not None and role == guild:
            raise ValueError(
                "DISCORD_APPROVER_ROLE_ID is @everyone; make a role for the people who approve"
            )
        return self

    def secrets(self) -> list[str]:
        """The values that no log line, message or file may hold."""
        values = (getattr(self, name) for name in type(self).model_fields)
        return [value.get_secret_value() for value in values if isinstance(value, SecretStr)]

    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def writer_choice(self) -> WriterName:
        """`auto` is the one whose key is set; with both keys OpenAI."""
        if self.writer != "auto":
            return self.writer
        if self.openai_api_key:
            return "openai"
        return "anthropic" if self.anthropic_api_key else "offline"

    def voice_choice(self) -> VoiceName:
        """`auto` is ElevenLabs as soon as its key is set."""
        if self.voice != "auto":
            return self.voice
        return "elevenlabs" if self.elevenlabs_api_key else "offline"

    def publisher_choice(self) -> PublisherName:
        """`auto` is Instagram as soon as its token is set."""
        if self.publisher != "auto":
            return self.publisher
        return "instagram" if self.meta_access_token else "folder"

    def studio_config(self) -> StudioConfig:
        """What each stage needs, without any key a stage does not use."""
        writer = writer_config(self)
        video = VideoConfig(fps=self.video_fps)
        return StudioConfig(
            trends=TrendsConfig(
                mode=self.trends,
                rss_url=self.trends_rss_url,
                wikipedia_url=self.trends_wikipedia_url,
                hackernews_url=self.trends_hackernews_url,
                feeds=tuple(self.trends_feeds.split()),
                region=self.trends_region,
            ),
            pitches=writer,
            script=writer,
            voices=voices_config(self),
            images=ImagesConfig(provider=self.images),
            video=video,
            preview=video,
        )


def load_settings(env_file: Path | None = Path(".env"), **values: object) -> Settings:
    """Read everything; a UserError names the variable that is wrong, and never its secret."""
    try:
        refuse_unreadable(env_file)
        return Settings(_env_file=env_file, **values)  # type: ignore[arg-type]
    except ValidationError as error:
        raise UserError(_sentence(error)) from None
    except UnicodeDecodeError:
        raise UserError(f"{env_file} is not UTF-8 text; save it as that.") from None
    except OSError as error:
        raise UserError(
            f"{env_file} cannot be read ({error.strerror}); give yourself the right to read it."
        ) from None
    except SettingsError as error:
        raise UserError(f"{env_file} cannot be read as settings: {error}.") from None


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    if not first["loc"]:
        return f"{message}."
    name = str(first["loc"][0]).upper()
    message = message.removeprefix(f"{name}: ")
    if first["type"] == "string_pattern_mismatch":
        message = f"is not in the form of {EXAMPLES[name]}"
    if first["type"] == "extra_forbidden":
        return f"{name} in .env is not a setting; see .env.example for the names."
    first_word = message.split()[0]
    if first_word.isalpha() and first_word.istitle():  # a name keeps its capitals
        message = message[0].lower() + message[1:]
    return f"{name}: {message}{CORRECT_IT}"


def forget_environment() -> None:
    """Take every setting out of os.environ, so that no child process inherits a secret."""
    for name in Settings.model_fields:
        os.environ.pop(name.upper(), None)
