"""The command line: its commands, the global options, and failures as one line.

Global options may come anywhere on the line. Each command module imports what it needs when it runs.
"""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from mplus_cli import __version__, failures
from mplus_cli.command_line import (
    GROUPS,
    START,
    SWITCHES,
    WITH_VALUE,
    hoist,
    with_full_sources,
    with_memory_first,
)
from mplus_cli.commands import start
from mplus_cli.commands.coercion import take_plain_values
from mplus_cli.commands.table import COMMANDS, add
from mplus_cli.errors import ExitCode, MplusError, UsageError
from mplus_cli.runtime.quiet_libraries import without_warnings
from mplus_cli.settings import Flags
from mplus_cli.terminal import screen
from mplus_cli.terminal.streams import OutputLost, ReaderLeft, close_output, standard_streams
from mplus_cli.visible import one_line


def _show_version(wanted: bool) -> None:
    if wanted:
        screen.out(f"mplus {__version__}")
        raise typer.Exit()


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
        bool,
        typer.Option(
            "--verbose",
            "-v",
            help="Also show the settings in force, and the tokens and seconds of each answer.",
        ),
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


def program(names: Iterable[str] = COMMANDS) -> typer.Typer:
    """The command line with these commands, or with all of them."""
    root = typer.Typer(
        name="mplus",
        epilog=START,
        add_completion=False,
        rich_markup_mode=None,
        invoke_without_command=True,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    root.callback()(global_options)
    add(root, names)
    return root


def __getattr__(name: str) -> Any:
    if name == "app":  # what `python -m typer mplus_cli.app` looks for
        return program()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), "app"]


def run(arguments: Sequence[str], *, interrupted: Callable[[], bool] = lambda: False) -> int:
    """Run a command line and return its exit code; failures are one line on stderr.

    Args:
        interrupted: whether Ctrl-C came, even if the exception was swallowed.
    """

    def command() -> int | None:
        options, rest = hoist(with_full_sources(arguments))
        rest = with_memory_first(rest)
        wanted = rest[:1] if rest[:1] and rest[0] in COMMANDS else COMMANDS
        line = [*options, *rest, *(["--help"] if rest in GROUPS else [])]
        return _main(program(wanted), line, "mplus")

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
        root = typer.main.get_command(program())
        for line in replies(shell, given, lambda words: safely(root, words, known)):
            screen.out(line)

    return guarded(command, debug=False)


def run_program(own: typer.Typer, arguments: Sequence[str], name: str) -> int:
    """Run another program's command line by the same rules as `run`."""
    return guarded(lambda: _main(own, list(arguments) or ["--help"], name), debug=False)


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
        with contextlib.suppress(ReaderLeft):
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
        with contextlib.suppress(ReaderLeft):
            screen.error(f"the output could not be written: {lost}")
        return ExitCode.FAILED
    except ReaderLeft:  # as after Ctrl-C: what was committed is kept
        close_output()
        return ExitCode.INTERRUPTED
    except Exception as error:
        if debug:
            screen.traceback(error)
        if interrupted() and not isinstance(error, MplusError):
            return ExitCode.INTERRUPTED
        return fail(*failures.explain(error))
    return code or 0


def _main(own: typer.Typer, arguments: list[str], name: str) -> int | None:
    root: Any = typer.main.get_command(own)
    take_plain_values(root)
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
    message = re.sub(r", unable to parse string as an? \w+$", "", message)
    message = message.replace("a valid integer", "a whole number").replace(
        "a valid number", "a number"
    )
    context: Any = getattr(error, "ctx", None)
    if message.startswith("got unexpected extra arg") and (text := _free_text(context)):
        message += f": put {text} in quotation marks"
        message += " and name the memory with -m" if "-m" in _options(context) else ""
    option = getattr(error, "option_name", None)
    if isinstance(option, str) and message.startswith("no such option"):
        known = [] if context is None else _options(context)
        close = difflib.get_close_matches(option, known, n=1, cutoff=0.7)
        message = f"no such option: {one_line(option)}"
        message += f"; did you mean {close[0]}?" if close else ""
    return message


def _free_text(context: Any) -> str:
    """What a command takes as its last argument where that is text, which shells cut at its spaces."""
    arguments = [one for one in context.command.params if not one.opts[0].startswith("-")]
    metavar = str(arguments[-1].metavar) if arguments else ""
    return metavar if metavar in ("QUESTION", "WORDS", "TEXT") else ""


def _options(context: Any) -> list[str]:
    """The options of a command, its own and the global ones."""
    own = [name for parameter in context.command.params for name in parameter.opts]
    return [name for name in own if name.startswith("-")] + [*WITH_VALUE, *SWITCHES, "--help"]
