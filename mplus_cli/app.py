"""The command line: its commands, the global options, and failures as one line.

Global options may come anywhere on the line. Each command module imports what it needs when it runs.
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from mplus_cli import __version__, failures
from mplus_cli.command_line import (
    EPILOG,
    GROUPS,
    START,
    SWITCHES,
    WITH_VALUE,
    examples,
    hoist,
    unwrapped,
    with_full_sources,
)
from mplus_cli.commands import (
    ask,
    chat,
    completion,
    config,
    demo,
    doctor,
    find,
    ingest,
    log,
    memory,
    memory_files,
    model,
    serve,
    start,
    train,
)
from mplus_cli.commands import eval as evaluate
from mplus_cli.errors import ExitCode, MplusError, UsageError
from mplus_cli.runtime.quiet_libraries import without_warnings
from mplus_cli.settings import Flags
from mplus_cli.terminal import screen
from mplus_cli.terminal.streams import OutputLost, close_output, standard_streams
from mplus_cli.visible import one_line

app = typer.Typer(
    name="mplus",
    epilog=START,
    add_completion=False,
    rich_markup_mode=None,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        screen.out(f"mplus {__version__}")
        raise typer.Exit()


@app.callback()
def global_options(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME|FOLDER|HUB_ID", help="Model to use; also MPLUS_MODEL."),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(metavar="auto|cpu|cuda|mps", help="Where to run it; also MPLUS_DEVICE."),
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(metavar="TYPE", help="Weights as float32, bfloat16 or float16.")
    ] = None,
    home: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder of memories and models; also MPLUS_HOME."),
    ] = None,
    offline: Annotated[
        bool | None, typer.Option("--offline", help="Never use the network; also HF_HUB_OFFLINE.")
    ] = None,
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", help="Results and errors only: no progress, no passages."),
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Also what is in force, and what answers took.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of a failure.")] = (
        False
    ),
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_show_version, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Read whole books into a latent memory and ask it questions, offline, on this machine."""
    if quiet and verbose:
        raise UsageError("--quiet and --verbose exclude each other: give one of them")
    context.obj = Flags(model, device, dtype, home, offline, debug)
    if context.invoked_subcommand is None:
        start.start(context)


app.command(
    "ingest",
    epilog=examples(
        "mplus ingest book.epub",
        "mplus ingest -m work papers/ notes.md",
        "mplus ingest --workers 4 library/",
    ),
)(ingest.ingest)
app.command(
    "ask",
    epilog=examples(
        'mplus ask "Who keeps the lighthouse?"',
        'mplus ask -m work --document notes.md "When is the review?"',
        'mplus ask --json "Who keeps the lighthouse?"',
    ),
)(ask.ask)
app.command("find", epilog=EPILOG)(find.find)
app.command(
    "chat",
    short_help="Ask a memory questions, one after the other.",
    epilog=examples("mplus chat", "mplus chat -m work"),
)(chat.chat)
app.command(
    "log",
    short_help="Show what was asked and answered.",
    epilog=examples("mplus log", 'mplus log --search "brass key"', "mplus log 12"),
)(log.log)
memory.app.command("fork")(memory_files.fork)
memory.app.command("merge")(memory_files.merge)
memory.app.command("du")(memory_files.disk_usage)
memory.app.command("gc")(memory_files.collect_garbage)
memory.app.command("export")(memory_files.export)
app.command(
    "serve",
    short_help="Serve memories over HTTP, with a web page.",
    epilog=examples("mplus serve", "mplus serve --socket ~/mplus.socket"),
)(serve.serve)
app.command("mcp", short_help="Give an assistant the memories over MCP.", epilog=EPILOG)(serve.mcp)
app.add_typer(memory.app, name="memory", short_help="Look after memories.", epilog=EPILOG)
app.add_typer(model.app, name="model", epilog=EPILOG)
app.add_typer(config.app, name="config")
app.command(
    "train",
    short_help="Train a checkpoint of your own.",
    epilog=EPILOG,
    help=unwrapped(train.HELP),
)(train.train)
app.add_typer(
    evaluate.app, name="eval", short_help="Measure how well a model remembers.", epilog=EPILOG
)
app.command("doctor", short_help="Check the installation.", epilog=EPILOG)(doctor.doctor)
app.command("demo", short_help="Read an example story, and ask about it.", epilog=EPILOG)(demo.demo)
app.command(
    "completion",
    short_help="Complete command lines in your shell.",
    epilog=examples("mplus completion --install", "mplus completion zsh"),
)(completion.completion)


def run(arguments: Sequence[str], *, interrupted: Callable[[], bool] = lambda: False) -> int:
    """Run a command line and return its exit code; failures are one line on stderr.

    Args:
        interrupted: whether Ctrl-C came, even if the exception was swallowed.
    """

    def command() -> int | None:
        options, rest = hoist(with_full_sources(arguments))
        return _main(app, [*options, *rest, *(["--help"] if rest in GROUPS else [])], "mplus")

    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    tells: screen.Tells = "usual"
    if not {"-v", "--verbose"}.isdisjoint(own):
        tells = "much"
    if not {"-q", "--quiet"}.isdisjoint(own):
        tells = "little"
    with screen.telling(tells):
        return guarded(
            command, debug="--debug" in own, as_json="--json" in own, interrupted=interrupted
        )


def complete(shell: str, given: Sequence[str]) -> int:
    """Tell a shell what the word under its cursor may become."""
    from mplus_cli.completion.shells import replies
    from mplus_cli.completion.words import safely

    known = (*WITH_VALUE, *SWITCHES)

    def command() -> None:
        root = typer.main.get_command(app)
        for line in replies(shell, given, lambda words: safely(root, words, known)):
            screen.out(line)

    return guarded(command, debug=False)


def run_program(program: typer.Typer, arguments: Sequence[str], name: str) -> int:
    """Run another program's command line by the same rules as `run`."""
    return guarded(lambda: _main(program, list(arguments) or ["--help"], name), debug=False)


def guarded(
    command: Callable[[], int | None],
    *,
    debug: bool,
    as_json: bool = False,
    interrupted: Callable[[], bool] = lambda: False,
) -> int:
    """A command's exit code; any failure is one line on stderr and, with `as_json`, an object with
    `error` and `exit_code` on stdout."""

    def fail(message: str, code: ExitCode | int) -> int:
        screen.error(message)
        if as_json:
            with contextlib.suppress(OutputLost):
                screen.json_out({"error": message, "exit_code": int(code)})
                screen.flush()
        return code

    with standard_streams():
        return _guarded(command, fail, debug=debug, interrupted=interrupted)


def _guarded(
    command: Callable[[], int | None],
    fail: Callable[[str, ExitCode | int], int],
    *,
    debug: bool,
    interrupted: Callable[[], bool],
) -> int:
    try:
        with nullcontext() if debug else without_warnings():
            code = command()
        screen.flush()
    except (KeyboardInterrupt, typer.Abort):
        return ExitCode.INTERRUPTED
    except OutputLost as lost:
        close_output()
        if isinstance(lost.__cause__, BrokenPipeError):
            return ExitCode.DONE  # the reader of the pipe has left
        screen.error(f"the output could not be written: {lost}")
        return ExitCode.FAILED
    except BrokenPipeError:  # stderr is closed: the work is not done
        close_output()
        return ExitCode.FAILED
    except Exception as error:
        if debug:
            screen.traceback(error)
        if interrupted() and not isinstance(error, MplusError):
            return ExitCode.INTERRUPTED
        return fail(*failures.explain(error))
    return code or 0


def _main(program: typer.Typer, arguments: list[str], name: str) -> int | None:
    root: Any = typer.main.get_command(program)
    try:
        code: int | None = root.main(args=arguments, prog_name=name, standalone_mode=False)
    except typer.TyperException as error:
        from mplus_cli.completion.words import command_path

        where = " ".join((name, *command_path(root, arguments)))
        raise UsageError(f"{_usage(error)} (see {where} --help)") from error
    return code


def _usage(error: typer.TyperException) -> str:
    """A usage error of the parser as one line: what is wrong, and the nearest name."""
    message = one_line(error.format_message()).rstrip(".")
    message = message[:1].lower() + message[1:].replace("Input should be", "it must be")
    context: Any = getattr(error, "ctx", None)
    option = getattr(error, "option_name", None)
    if isinstance(option, str) and message.startswith("no such option"):
        known = [] if context is None else _options(context)
        close = difflib.get_close_matches(option, known, n=1, cutoff=0.7)
        message = f"no such option: {one_line(option)}"
        message += f"; did you mean {close[0]}?" if close else ""
    return message


def _options(context: Any) -> list[str]:
    """The options of a command, its own and the global ones."""
    own = [name for parameter in context.command.params for name in parameter.opts]
    return [name for name in own if name.startswith("-")] + [*WITH_VALUE, *SWITCHES]
