"""The command line `emf`. Everything heavy is imported by the command that needs it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from bot.settings import Settings

CONFIG = "CONFIG.yaml"


class ConfigFirst(TyperGroup):
    """`emf train FILE` and `emf train status`: what is no command is the file to train with."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] != "--help":
            args = [CONFIG, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    help="Excuse My French: a channel of short comedy reels, run from Discord.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
db = typer.Typer(help="The database: init, check, backup.", no_args_is_help=True)
trends = typer.Typer(help="Topics people talk about.", no_args_is_help=True)
train = typer.Typer(
    help="Teach the network that draws a character: train, status, base.",
    cls=ConfigFirst,
    no_args_is_help=True,
)
app.add_typer(db, name="db")
app.add_typer(trends, name="trends")
app.add_typer(train, name="train")

Topic = Annotated[str | None, typer.Option(help="What the reel is about.")]
Output = Annotated[Path | None, typer.Option(help="Write the result to this file as well.")]
ScriptFile = Annotated[Path, typer.Argument(help="A script as JSON, made by hand or by `script`.")]
EpisodeId = Annotated[int, typer.Argument(min=1, max=2**63 - 1, help="The number of the episode.")]

SLASH = {
    "trends": "/trends fetch",
    "script": "/script write",
    "voices": "/render start",
    "images": "/render start",
    "video": "/render start",
    "make": "/make",
    "publish": "/publish now",
    "train": "/train start",
}
"""What to use instead while a bot holds DATA_DIR."""

UsageError: type[Exception] = typer.BadParameter.__base__ or Exception
"""Of all wrong ways to call a command; typer exports only this child of it."""


INTERRUPTED = 130
"""What typer makes of Ctrl+C."""


def run() -> None:
    """The entry point: errors become one sentence and exit code 2, bugs a traceback and 1."""
    from bot.errors import sentence
    from pipeline.errors import ProviderError, UserError
    from storage.errors import StorageError, StorageUnusable
    from storage.folder import BESIDE_A_BOT
    from training.errors import TrainingError

    try:
        code = app(standalone_mode=False, prog_name="emf")
    except UsageError as error:
        _fail(_usage(error), 2)
    except (UserError, StorageError, TrainingError) as error:
        text = str(error)
        command = next((word for word in sys.argv[1:] if word in SLASH), None)
        if isinstance(error, StorageUnusable) and BESIDE_A_BOT in text and command:
            text += f" For this one: {SLASH[command]}."
        _fail(text, 2)
    except ProviderError as error:
        _fail(sentence(error), 1)
    if code == INTERRUPTED:
        _fail("Stopped; what was finished is kept, and the same command goes on with it.", code)
    sys.exit(code or 0)


def _fail(text: str, code: int) -> NoReturn:
    if text.strip():
        sys.stderr.write(text.strip() + "\n")
    sys.exit(code)


def _usage(error: Any) -> str:
    message = error.format_message().strip()
    if "\n" in message or not message:  # it is the help already
        return str(message)
    command = error.ctx.command_path if error.ctx else "emf"
    return f"{message.rstrip('.')}; see `{command} --help`."


def _start(work: Coroutine[Any, Any, int | None]) -> None:
    code = asyncio.run(work)
    if code:
        raise typer.Exit(code)


def _settings(*, quiet: bool = True) -> Settings:
    from bot.logs import set_up_logging
    from bot.settings import forget_environment, load_settings

    settings = load_settings()
    level = "WARNING" if quiet and settings.log_level == "INFO" else settings.log_level
    set_up_logging(level, settings.secrets(), structured=settings.structured_logging)
    forget_environment()
    return settings


@app.command("run")
def run_bot() -> None:
    """Run the bot until it is told to stop."""
    from bot.service import serve

    _start(serve(_settings(quiet=False)))


@app.command()
def demo(
    dir: Annotated[Path, typer.Option(help="Where everything goes.")] = Path("demo"),
    topic: Topic = None,
    open: Annotated[
        bool, typer.Option(help="Keep running, with the channel as a page in the browser.")
    ] = False,
) -> None:
    """One evening of the channel, from a topic to a post, without a key or the network."""
    from bot.demo import play

    _start(play(dir, topic, keep_open=open))


@app.command()
def doctor(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show what is fine, too.")
    ] = False,
    strict: Annotated[bool, typer.Option(help="Warnings count as errors.")] = False,
) -> None:
    """Check that everything the channel needs is there."""
    from bot.doctor.examination import examine

    _start(examine(_settings(), verbose=verbose, strict=strict))


@app.command()
def setup() -> None:
    """Ask for keys and settings one at a time, check each, and write .env."""
    from bot.setup.session import set_up

    set_up(Path(".env"))


@app.command()
def health() -> None:
    """Ask the running bot whether it is well (exit 0) or not (exit 1)."""
    from bot.health import ask

    _start(ask(_settings()))


@db.command("init")
def db_init() -> None:
    """Make the database, or bring it up to date (with a backup before)."""
    from bot import stages_by_hand as by_hand

    _start(by_hand.init_database(_settings()))


@db.command("check")
def db_check() -> None:
    """Read the whole database and report damage."""
    from bot import stages_by_hand as by_hand

    _start(by_hand.check_database(_settings()))


@db.command("backup")
def db_backup(
    file: Annotated[Path, typer.Argument(help="A file that does not exist yet.")],
) -> None:
    """Copy the database to a file; works while the bot runs."""
    from bot import stages_by_hand as by_hand

    _start(by_hand.back_up_database(_settings(), file))


@trends.command("fetch")
def trends_fetch(
    days: Annotated[int, typer.Option(min=1, max=30, help="How far back to show.")] = 7,
    limit: Annotated[int, typer.Option(min=1, max=50, help="How many to show.")] = 10,
) -> None:
    """Ask the sources for topics and store them."""
    from bot import stages_by_hand as by_hand

    _start(by_hand.fetch_trends(_settings(), days=days, limit=limit))


@trends.command("list")
def trends_list(
    days: Annotated[int, typer.Option(min=1, max=30, help="How far back to show.")] = 7,
    limit: Annotated[int, typer.Option(min=1, max=50, help="How many to show.")] = 10,
) -> None:
    """Show the topics that are stored."""
    from bot import stages_by_hand as by_hand

    _start(by_hand.list_trends(_settings(), days=days, limit=limit))


@app.command()
def script(
    from_trends: Annotated[
        bool, typer.Option("--from-trends", help="Take the best unused topic (the default).")
    ] = False,
    days: Annotated[int, typer.Option(min=1, max=30, help="How old a topic may be.")] = 3,
    topic: Topic = None,
    output: Output = None,
) -> None:
    """Write a script."""
    from bot import stages_by_hand as by_hand
    from pipeline.errors import UserError

    if from_trends and topic is not None:
        raise UserError("Give --topic or --from-trends, not both.")
    _start(by_hand.write_script(_settings(), topic=topic, days=days, output=output))


@app.command()
def voices(script: ScriptFile) -> None:
    """Speak a script, line by line; prints the timeline's path."""
    from bot import stages_by_hand as by_hand

    _start(by_hand.stage_of_script(_settings(), script, "voices", "timeline.json"))


@app.command()
def images(script: ScriptFile) -> None:
    """Choose a picture for every line of a script; prints the selection's path."""
    from bot import stages_by_hand as by_hand

    _start(by_hand.stage_of_script(_settings(), script, "images", "image_selections.json"))


@app.command()
def image(
    character: Annotated[str, typer.Option(help="Who is drawn.")],
    emotion: Annotated[str, typer.Option(help="Which face they make.")],
    prompt: Annotated[str, typer.Option(help="What else there is, such as a place.")] = "",
    model: Annotated[
        Path | None, typer.Option(help="Folder of a trained model; else the one in use.")
    ] = None,
    output: Output = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**63 - 1, help="Draw this one again, and no other.")
    ] = None,
) -> None:
    """Draw a character with a trained model: the best of several. Prints the picture's path."""
    from bot import image_by_hand

    _start(
        image_by_hand.draw_image(
            _settings(),
            character=character,
            emotion=emotion,
            prompt=prompt,
            model=model,
            output=output,
            seed=seed,
        )
    )


@app.command()
def video(episode: EpisodeId, output: Output = None) -> None:
    """Make the reel of an episode; prints its path."""
    from bot import stages_by_hand as by_hand

    _start(by_hand.make_video(_settings(), episode, output=output))


@app.command()
def make(topic: Topic = None) -> None:
    """From a topic to a finished reel, without Discord; prints its path."""
    from bot import stages_by_hand as by_hand

    _start(by_hand.make_reel(_settings(), topic))


@app.command()
def publish(
    episode: EpisodeId,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, post nothing.")
    ] = False,
) -> None:
    """Post an approved episode now."""
    from bot import stages_by_hand as by_hand

    _start(by_hand.publish(_settings(), episode, dry_run=dry_run))


@train.command(CONFIG)
def train_config(
    file: Annotated[Path, typer.Argument(help="Settings of the run; see training/recipes.")],
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on after the newest checkpoint.")
    ] = False,
) -> None:
    """Train as a file says; Ctrl+C saves before it ends. Prints the folder of the result."""
    from bot import training_by_hand as by_hand

    code = by_hand.train(_settings(), file, resume=resume)
    if code:
        sys.exit(code)


@train.command("status")
def train_status() -> None:
    """Show how far the runs in DATA_DIR/models are."""
    from bot import training_by_hand as by_hand

    by_hand.show_runs(_settings())


@train.command("base")
def train_base(
    wanted: Annotated[
        str | None, typer.Argument(metavar="[HUB_ID@COMMIT]", help="Fetch this one.")
    ] = None,
) -> None:
    """List the networks that training can start from, or fetch one from Hugging Face."""
    from bot import training_by_hand as by_hand

    if wanted is None:
        by_hand.show_bases(_settings())
    else:
        by_hand.fetch_base(_settings(), wanted)
