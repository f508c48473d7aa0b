"""The pages say what is so: the tutorial runs as written, every command composes, every message stands in the code."""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from wealtharena.config import compose, grid, unread
from wealtharena.config.composition import defaults_for, groups

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
GENERATED = {"keys.md", "commands.md"}  # below reference/, when the pages are built
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
NOT_KEYS = {"algo.clpi", "env.costs", "paper.largest_deviation"}  # shown as mistakes, or a place in run.json
INVENTED = {"clockwork": "store", "spo": "ppo", "calm": "drawdown", "reversal": "momentum", "bonds": "etf"}  # by pages
BY_HAND = ("git clone", "cd wealtharena", "make run", "source .venv/bin/activate")  # steps that make this environment


def blocks(page: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def typed(block: str) -> list[tuple[str, list[str]]]:
    """Return each command of a console block with the lines that it is said to print."""
    found: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found and line.strip():
            found[-1][1].append(line)
    return found


# One process for the whole of it, as fast as it goes: each command of its own would load torch again.
PLAYED = """
import contextlib, io, json, shlex, sys
from wealtharena import cli

said, names = [], {}
for kind, text in json.load(open(sys.argv[1])):
    if kind == "python":
        exec(compile(text, "tutorial.md", "exec"), names)
        continue
    out, err = io.StringIO(), io.StringIO()
    sys.argv[1:] = shlex.split(text)[2:]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main()
    said.append([text, code, out.getvalue(), err.getvalue()])
    print(code, text, flush=True)
json.dump(said, open("said.json", "w"))
"""


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which the tutorial was played from top to bottom, with what was said in said.json."""
    folder = tmp_path_factory.mktemp("tutorial")
    steps = []
    for kind, block in blocks(DOCS / "tutorial.md"):
        if kind == "python":
            steps.append((kind, block))
        for command, _ in typed(block) if kind == "console" else ():
            if not command.startswith(BY_HAND):
                assert command.startswith("python run.py "), f"the tutorial says {command!r}, which nobody tries"
                steps.append((kind, command))
    (folder / "steps.json").write_text(json.dumps(steps))
    done = subprocess.run(
        [sys.executable, "-c", PLAYED, "steps.json"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "WANDB_MODE": "disabled"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.slow
def test_the_tutorial_runs_as_written(tutorial: Path) -> None:
    said = json.loads((tutorial / "said.json").read_text())
    expected = {command: lines for kind, block in blocks(DOCS / "tutorial.md") for command, lines in typed(block)}
    assert len(said) > 8
    for command, code, out, err in said:
        if expected[command]:  # what the page says that it prints: a refusal
            assert (code, err.split()) == (2, " ".join(expected[command]).split())
        else:
            assert code == 0, f"{command}\n{out}{err}"
    for name in ("outputs/first/report.html", "outputs/look/inspection.html", "multirun/seeds/leaderboard.html"):
        assert (tutorial / name).is_file(), name
    assert (tutorial / "paper" / "cryptocurrencies" / "default" / "ledger.sqlite").is_file()
    record = json.loads((tutorial / "outputs" / "paper" / "run.json").read_text())
    assert record["paper"]["largest_deviation"] < 1e-5  # as the page says of a promoted graph
    journal = (tutorial / "outputs" / "first" / "metrics.jsonl").read_text().splitlines()
    assert sum("validation/sharpe" in json.loads(line) for line in journal) == 2  # "each of its two updates"


@pytest.mark.slow
def test_bars_without_memory_are_never_promotable(tutorial: Path) -> None:
    """What the tutorial says of its own coins."""
    records = [json.loads(path.read_text()) for path in tutorial.glob("*/*/run.json")]
    verdicts = {record["verdict"]["status"] for record in records if record.get("verdict")}
    assert verdicts
    assert verdicts <= {"rejected", "unproven"}


def commands() -> list[str]:
    """Return every `python run.py` command of every page, once, with its places for names filled in."""
    found = set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for line in re.findall(r"^\s*(?:\$ )?(python run\.py [^\n]+)", text, flags=re.MULTILINE):
            found.add(line)
        found |= set(re.findall(r"`(python run\.py [^`]+)`", text))
    return sorted({filled(command) for command in found} - {""})


def filled(command: str) -> str:
    """Return a command without its comment and with its placeholders as names; nothing for one that is cut short."""
    command = re.sub(r"\s+#.*$", "", command).strip()
    command = re.sub(r"<head>:6379", "head:6379", command)
    command = re.sub(r"<([\w -]+)>", lambda word: word[1].replace(" ", "-"), command)
    return "" if "..." in command or "[group=" in command else command


@pytest.mark.slow
@pytest.mark.parametrize("command", commands())
def test_every_command_of_the_pages_composes(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(command)[2:]
    if any(word in words for word in ("--help", "--version", "--cfg", "--info", "--shell-completion")):
        return
    if "--config-dir" in words:
        del words[words.index("--config-dir") + 1]
    words = [word for word in words if not word.startswith("resume=")]
    for name, ours in INVENTED.items():
        words = [re.sub(rf"\b{name}\b", ours, word) for word in words]
    if any(".yaml" in word for word in words):
        pytest.skip("names a file that a search leaves")
    if "algo.clip=3" in words:
        words.remove("algo.clip=3")  # the page shows how it is refused
    if "-m" in words:
        jobs = [word for word in words if not word.startswith(("-m", "hydra"))]
        assert grid._jobs(jobs)
        grid.check(["-m", *jobs])
    else:
        words = [word for word in words if not word.startswith(("-", "hydra."))]
        spec = compose(words)
        unread.refuse(spec, words)
        assert unread.told(spec, words) == []


@pytest.mark.slow
def test_every_key_that_a_page_names_exists() -> None:
    chosen = [(group, name) for group in ("algo", "asset", "risk", "data", "broker") for name in groups()[group]]
    known = {key for group, name in chosen for key in defaults_for((f"{group}={name}",))}
    tops = {key.partition(".")[0] for key in known if "." in key}
    named = re.compile(r"`(?:\+|')?([a-z_]+(?:\.[a-z_]+)+)(?:=[^`]*)?`")
    files = (".py", ".yaml", ".json", ".html", ".jsonl")
    wrong = [
        f"{page.relative_to(ROOT)}: {key}"
        for page in PAGES
        for key in named.findall(page.read_text(encoding="utf-8"))
        if key.partition(".")[0] in tops and key not in known and not key.endswith(files) and key not in NOT_KEYS
    ]
    assert wrong == []


def strings() -> str:
    """Return every text of the package's source, one a line, with `...` where something is filled in."""
    found = []
    for path in (ROOT / "wealtharena").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.append("".join(part.value if isinstance(part, ast.Constant) else "..." for part in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(line.replace("\n", " ") for line in found)


@pytest.mark.slow
def test_every_message_of_the_troubleshooting_page_is_said_by_the_program() -> None:
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    headings = re.findall(r"^### (.+)$", page, flags=re.MULTILINE)
    assert len(headings) > 15
    said = strings()
    for heading in headings:
        (message,) = re.findall(r"`([^`]+)`", heading)
        assert re.search(".*?".join(map(re.escape, message.split("..."))), said), heading


def test_links_between_pages_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / ".github").rglob("*.md")]
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
        if "://" not in target and not (page.parent / target).exists() and Path(target).name not in GENERATED
    ]
    assert broken == []


def test_every_page_is_linked_from_another() -> None:
    """On GitHub there is no navigation beside a page."""
    pages = [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]
    targets = {
        (page.parent / target).resolve()
        for page in pages
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
        if (page.parent / target).resolve() != page.resolve()
    }
    assert [page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md") if page.resolve() not in targets] == []


def test_the_page_on_training_has_the_actions_of_every_algorithm() -> None:
    text = (DOCS / "training.md").read_text(encoding="utf-8")
    told = {}
    for names, actions in re.findall(
        r"^\| ((?:`\w+`(?:, )?)+) \| [^|]+ \| ((?:`\w+`(?:, )?)+) \|", text, flags=re.MULTILINE
    ):
        told |= {name: set(re.findall(r"`(\w+)`", actions)) for name in re.findall(r"`(\w+)`", names)}
    modules = {name: importlib.import_module(f"wealtharena.agents.algorithms.{name}") for name in groups()["algo"]}
    assert told == {name: set(module.ACTIONS) for name, module in modules.items()}


def test_the_navigation_names_every_page_and_no_other() -> None:
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = set(re.findall(r"([\w/-]+\.md)$", config.split("\nnav:")[1], flags=re.MULTILINE))
    there = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md") if page.parent.name != "decisions"}
    assert named - {f"reference/{name}" for name in GENERATED} - {"decisions/index.md"} == there


@pytest.mark.slow
def test_the_page_of_keys_has_each_key_with_type_default_and_reader() -> None:
    sys.path.insert(0, str(DOCS / "hooks"))
    try:
        import reference
    finally:
        sys.path.pop(0)
    rows = {(section, key.name): key for section, keys in reference.sections() for key in keys}
    names = {name for _, name in rows}
    known = {key for key, value in defaults_for(()).items() if not isinstance(value, dict)}
    known -= {"asset.anchor", "asset.action"}  # the class's word on those of env
    within = {key for key in known if any(name.startswith(f"{key}.") or key.startswith(f"{name}.") for name in names)}
    assert known - within <= names
    for (section, name), key in rows.items():
        assert key.text, f"{section}: {name} has no description"
        assert key.kind, name
        assert key.default, name
        assert key.readers, name
        if "number" in key.kind or "integer" in key.kind:
            assert key.unit != "-", f"{section}: {name} is a number without a unit: see NAMED and UNITS in docs/hooks"
            assert key.allowed != "-", name
    assert {section for section, _ in rows} >= {"algo=direct", "broker=alpaca", "risk", "sweep"}
    clip = rows["algo=ppo", "algo.clip"]
    assert (clip.allowed, clip.default) == ("above 0, below 1", "0.2")
    costs = rows["asset", "asset.costs.commission_bps"]
    assert (costs.unit, costs.default) == ("basis points", "8")
    assert "forex: 0.5" in costs.others


def test_the_readme_shows_small_pictures_that_make_pictures_makes_and_no_other() -> None:
    script = (ROOT / "benchmarks" / "pictures.py").read_text(encoding="utf-8")
    made = set(re.findall(r'^    "(\w+)": "', script, flags=re.MULTILINE))
    kept = {path.stem: path.stat().st_size for path in (DOCS / "pictures").iterdir()}
    shown = re.findall(r"\(docs/pictures/(\w+)\.webp\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert kept.keys() == made == set(shown)
    assert max(kept.values()) < 150_000


def test_what_stands_first_in_the_repository_has_a_kind_that_its_name_tells() -> None:
    """A command whose output was sent into a file there (`2>e`) leaves one that nobody can place."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    if listed.returncode:
        pytest.skip("no checkout")
    first = {name for name in listed.stdout.splitlines() if "/" not in name}
    plain = {name for name in first if not Path(name).suffix and not name.startswith(".")}
    assert plain <= {"Dockerfile", "LICENSE", "Makefile"}
