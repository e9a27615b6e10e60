"""The walls between the parts: who may import whom, who may print, what stays cheap to import."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("torch", "transformers", "peft")
PRINTERS = (
    "print",
    "Console",
    "rich.print",
    "rich.console.Console",
    "sys.stdout.write",
    "sys.stderr.write",
)
# The door may have to say that it was interrupted before the screen module is there.
MAY_PRINT = ("mplus_cli/terminal/screen.py", "mplus_cli/process.py")


# From the ground up: a room imports only from floors below its own, and from itself.
FLOORS = (
    ("errors", "place", "visible", "__version__"),
    ("wording",),
    ("settings", "extras", "failures", "command_line", "example_story", "documents", "library"),
    ("runtime", "config_file", "history", "english"),
    ("asking", "ingest", "training", "completion"),
    ("evaluation", "api"),
    ("terminal", "server"),
    ("commands",),
    ("app",),
    ("process", "datasets"),
    ("__main__",),
)
MODEL_FLOORS = (
    (
        *(
            "schema",
            "json_file",
            "durable",
            "compat",
            "chat_template",
            "matching",
            "tokenizer",
            "hub",
        ),
        *(
            "memory",
            "relevance",
            "architecture",
            "attention",
            "blocks",
            "cache",
            "merging",
            "forgetting",
            "reranker",
        ),
    ),
    ("config", "prompts", "precision", "rotary", "projections", "stack", "gathering"),
    ("layer", "packing", "retriever"),
    ("decoder",),
    ("network", "judging"),
    ("update", "scan", "fast_decode", "spans"),
    ("evidence", "reranking", "sampling"),
    ("recall",),
    ("generate",),
    ("checkpoints",),
    ("training",),
)
LIBRARY_KNOWS = {
    "models.config",
    "models.durable",
    "models.memory",
    "models.packing",
    "models.schema",
}


def sources(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found, f"no sources in {package}"
    return found


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def prints(tree: ast.AST) -> Iterator[int]:
    """Lines that print: print(), a rich Console, or a write to a standard stream."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        if name in PRINTERS:
            yield node.lineno


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def public(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef | ast.ClassDef]]:
    """The functions and classes of a module, and the methods of these, that are for others."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, node
            for part in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(part, ast.FunctionDef) and not part.name.startswith("_"):
                    yield f"{node.name}.{part.name}", part


def test_all_that_is_public_has_a_docstring() -> None:
    """A method that does what another says has that one's; targets of parsers do what parsers say."""
    trees = {
        relative(path): ast.parse(path.read_text(encoding="utf-8"))
        for path in (*sources("models"), *sources("mplus_cli"))
    }
    there = [(path, *found) for path, tree in trees.items() for found in public(tree)]
    said = {node.name for _, name, node in there if "." in name and ast.get_docstring(node)}
    assert not [
        f"{path}: {name}"
        for path, name, node in there
        if not ast.get_docstring(node)
        and not ("." in name and (node.name in said or "/documents/" in path))
    ]


@pytest.mark.parametrize("path", sources("models"), ids=relative)
def test_models_import_nothing_of_the_tool(path: Path) -> None:
    names = set(imported(ast.parse(path.read_text(encoding="utf-8"))))
    assert not {name for name in names if name.split(".")[0] in ("mplus_cli", "rich", "click")}


@pytest.mark.parametrize("path", sources("mplus_cli"), ids=relative)
def test_only_the_screen_prints(path: Path) -> None:
    lines = list(prints(ast.parse(path.read_text(encoding="utf-8"))))
    if relative(path) not in MAY_PRINT:
        assert lines == []


def test_all_that_is_printed_is_made_visible() -> None:
    """One function writes text, and consoles are of the one kind that cleans what it draws."""
    screen = ast.parse((ROOT / MAY_PRINT[0]).read_text(encoding="utf-8"))
    writers = {
        (function.name, ast.unparse(node.func).partition("(")[0])
        for function in ast.walk(screen)
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("print", ".write"))
    }
    # What is interrupted ends its line by hand.
    drawn = ("_console", "console.print")
    assert {name for name, called in writers if called not in drawn} == {"_write", "interrupted"}
    for path in sources("mplus_cli"):
        calls = [n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Call)]
        assert not [call.lineno for call in calls if ast.unparse(call.func) == "Console"], path


@pytest.mark.parametrize("path", sources("models"), ids=relative)
def test_the_library_prints_only_where_it_is_a_program(path: Path) -> None:
    lines = list(prints(ast.parse(path.read_text(encoding="utf-8"))))
    if relative(path) != "models/checkpoints/parity.py":
        assert lines == []


@pytest.mark.parametrize("path", sources("mplus_cli/runtime"), ids=relative)
def test_the_runtime_knows_nothing_of_what_uses_it(path: Path) -> None:
    names = set(imported(ast.parse(path.read_text(encoding="utf-8"))))
    rooms = ("asking", "ingest", "terminal", "commands", "evaluation", "training")
    assert not {name for name in names if name.startswith(tuple(f"mplus_cli.{r}" for r in rooms))}


BORROWERS = (
    "models/compat.py",
    "models/checkpoints/adapters.py",
    "models/checkpoints/gguf.py",
)
"""What uses `transformers` and `peft`: training, conversion, and where private names of theirs are kept."""


@pytest.mark.parametrize("path", [*sources("models"), *sources("mplus_cli")], ids=relative)
def test_transformers_is_for_training_and_conversion(path: Path) -> None:
    roots = {name.split(".")[0] for name in imported(ast.parse(path.read_text(encoding="utf-8")))}
    if roots & {"transformers", "peft"}:
        assert relative(path) in BORROWERS


@pytest.mark.parametrize(
    "module", ["mplus_cli.documents", "mplus_cli.library", "mplus_cli.datasets.__main__"]
)
def test_no_heavy_import(module: str) -> None:
    program = f"import sys, {module}; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def room(module: str) -> str:
    """The folder of `mplus_cli` that a module is in, or the module itself on the top level."""
    return [*module.split("."), "__init__"][1]


@pytest.mark.parametrize("path", sources("mplus_cli"), ids=relative)
def test_imports_run_down(path: Path) -> None:
    floors = {name: floor for floor, names in enumerate(FLOORS) for name in names}
    here = room(relative(path).removesuffix(".py").replace("/", "."))
    if here == "__init__":
        return
    for name in imported_modules(path):
        there = room(name)
        assert there in (here, "__init__") or floors[there] < floors[here], f"{name} from {here}"


@pytest.mark.parametrize("path", sources("models"), ids=relative)
def test_imports_of_models_run_down(path: Path) -> None:
    floors = {name: floor for floor, names in enumerate(MODEL_FLOORS) for name in names}
    here = room(relative(path).removesuffix(".py").replace("/", "."))
    if here == "__init__":
        return
    for name in imported_modules(path, "models"):
        there = room(name)
        assert there == here or floors[there] < floors[here], f"{name} from {here}"


@pytest.mark.parametrize(("half", "floors"), [("models", MODEL_FLOORS), ("mplus_cli", FLOORS)])
def test_floors_are_those_of_the_architecture_page(half: str, floors: tuple[Any, ...]) -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    part = page.split(f"### The floors of `{half}/`")[1].split("\n## ")[0].split("\n### ")[0]
    told: dict[int, set[str]] = {}
    for floor, names in re.findall(r"^\| (\d+) \| (`[^|]+) \|", part, flags=re.MULTILINE):
        told.setdefault(int(floor), set()).update(re.findall(r"`(\w+)`", names))
    assert told == {floor: set(names) - {"__version__"} for floor, names in enumerate(floors)}


@pytest.mark.parametrize("half", ["models", "mplus_cli"])
def test_sizes_are_those_of_the_architecture_page(half: str) -> None:
    """To a tenth: the page is a map, not a count."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    row = re.search(rf"^\| `{half}/` \| (\d+) \| (\d+) \| ([\d,]+) \|", page, re.MULTILINE)
    assert row is not None
    arrows, lines = set[tuple[str, str]](), 0
    for path in sources(half):
        here = room(relative(path).removesuffix(".py").replace("/", "."))
        arrows |= {(here, room(name)) for name in imported_modules(path, half)}
        lines += len(path.read_text(encoding="utf-8").splitlines())
    arrows = {
        (one, other) for one, other in arrows if one != other and "__init__" not in (one, other)
    }
    rooms = {path.relative_to(ROOT / half).parts[0] for path in sources(half)} - {"__init__.py"}
    told = [int(number.replace(",", "")) for number in row.groups()]
    assert told == pytest.approx([len(rooms), len(arrows), lines], rel=0.1)


@pytest.mark.parametrize("path", sources("mplus_cli"), ids=relative)
def test_libraries_stay_in_their_rooms(path: Path) -> None:
    """`rich` in terminal, `typer` in commands and the programs, tensors out of documents."""
    names = set(imported(ast.parse(path.read_text(encoding="utf-8"))))
    roots = {name.split(".")[0] for name in names}
    here = room(relative(path).removesuffix(".py").replace("/", "."))
    if here != "terminal":
        assert not roots & {"rich", "prompt_toolkit"}
    if here not in ("commands", "app") and relative(path) != "mplus_cli/datasets/__main__.py":
        assert "typer" not in roots
    if here == "documents":
        assert not roots & {"models", "torch", "transformers"}
    if here == "library":
        assert {name for name in names if name.startswith("models")} <= LIBRARY_KNOWS


def imported_modules(path: Path, package: str = "mplus_cli") -> Iterator[str]:
    """The modules of a package that a file imports; `from mplus_cli.x import y` may mean x.y."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.startswith(f"{package}."))
        elif isinstance(node, ast.ImportFrom) and node.module == package:
            yield from (f"{package}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and str(node.module).startswith(f"{package}."):
            yield str(node.module)


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def modules_imported(tree: ast.AST, known: set[str]) -> Iterator[str]:
    """The modules among `known` that a module names: lazily and for its types as well."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from inner & known
            if inner - known:
                yield node.module


@pytest.mark.parametrize("path", sources("benchmarks"), ids=relative)
def test_benchmarks_name_what_is_there(path: Path) -> None:
    importlib.import_module(name_of(path))


def test_no_circle_of_imports() -> None:
    paths = {name_of(path): path for path in (*sources("models"), *sources("mplus_cli"))}
    graph = {
        name: set(modules_imported(ast.parse(path.read_text(encoding="utf-8")), set(paths)))
        for name, path in paths.items()
    }
    order = TopologicalSorter({name: needed - {name} for name, needed in graph.items()})
    try:
        order.prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))


def test_a_walls_test_sees_what_it_looks_for() -> None:
    tree = ast.parse(
        "import mplus_cli.x\nfrom rich.console import Console\nc = Console()\nprint(1)"
    )
    assert set(imported(tree)) == {"mplus_cli.x", "rich.console"}
    assert sorted(prints(tree)) == [3, 4]
