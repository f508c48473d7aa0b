"""The house: packaging, layers, and that a name is one name everywhere."""

import ast
import graphlib
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp
import pytest
import yaml

from tests import reading, waits
from wealtharena.config import plugins
from wealtharena.config.composition import groups
from wealtharena.config.paths import conf_dir

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SUPPRESSES = re.compile(r"#\s*(?:ruff:\s*)?(?:type:\s*ignore|noqa)\b")
SAYS_WHY = re.compile(
    r"#\s*(?:ruff:\s*)?(?:type:\s*ignore\[[^]]+\]|noqa:\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*)\s*(?:#|-)\W*\w+\W+\w+"
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an installed wheel, as `pip install` leaves it, away from the checkout."""
    pytest.importorskip("hatchling", reason="comes with the extra `dev`: pip install -e '.[dev]'")
    work = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(work), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, timeout=240)
    wheel = next(work.glob("*.whl"))
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        str(work / "site"),
        str(wheel),
    ]
    subprocess.run(pip, check=True, capture_output=True, timeout=240)
    return work / "site"


def away(installed: Path, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command outside the checkout on the installed wheel alone."""
    code = f"import wealtharena; assert wealtharena.__file__.startswith({str(installed)!r}), wealtharena.__file__"
    environment = os.environ | {"PYTHONPATH": str(installed)}
    subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, check=True)
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.slow
def test_the_wheel_carries_conf_and_sweeps_and_the_command_works_anywhere(installed: Path, tmp_path: Path) -> None:
    shipped = {
        path.relative_to(installed / "wealtharena" / "_conf")
        for path in (installed / "wealtharena" / "_conf").rglob("*.yaml")
    }
    assert shipped == {path.relative_to(conf_dir()) for path in conf_dir().rglob("*.yaml")}
    done = away(installed, tmp_path, "-m", "wealtharena", "--help")
    assert done.returncode == 0, done.stderr
    assert "python -m wealtharena asset=crypto algo=ppo" in done.stdout
    for name in groups()["sweep"]:
        assert name in done.stdout
    done = away(
        installed,
        tmp_path,
        str(installed / "bin" / "wealtharena"),
        "--cfg",
        "job",
        "--package",
        "universe",
        "asset=forex",
    )
    assert "EURUSD" in done.stdout, done.stderr


@pytest.mark.slow
def test_the_wheel_explains_mistakes_too(installed: Path, tmp_path: Path) -> None:
    done = away(installed, tmp_path, "-m", "wealtharena", "asset=crpto")
    assert done.returncode == 2
    assert "did you mean asset=crypto?" in done.stderr


def test_the_entry_point_fits_on_one_screen() -> None:
    lines = (ROOT / "run.py").read_text().splitlines()
    assert len(lines) < 30
    assert any("return dispatch(parse(cfg))" in line for line in lines)


def test_the_layers_are_those_of_the_design() -> None:
    layers = PROJECT["tool"]["importlinter"]["contracts"][0]["layers"]
    names = [name.strip().removeprefix("wealtharena.") for layer in reversed(layers) for name in layer.split("|")]
    rooms = "errors config data features envs agents evaluation training tuning registry prediction deployment reporting tracking tasks"
    order = {name: index for index, name in enumerate(names)}
    expected = [room for room in rooms.split() if room not in ("reporting", "tracking")]
    assert sorted(expected, key=order.__getitem__) == expected
    assert {"reporting", "tracking"} <= order.keys()


def test_imports_only_point_up() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-logo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_module_reaches_itself_through_its_imports() -> None:
    """Imports within functions count, those for types alone do not."""
    graph = grimp.build_graph("wealtharena", exclude_type_checking_imports=True, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_the_lock_pins_every_dependency_and_torch_without_a_build_suffix() -> None:
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    names = {name.lower().replace("_", "-") for name in pinned}
    asked = PROJECT["project"]["dependencies"] + [
        item for extra in PROJECT["project"]["optional-dependencies"].values() for item in extra
    ]
    wanted = {
        item.split("[")[0].split(">")[0].split("=")[0].split("<")[0].strip().lower().replace("_", "-") for item in asked
    }
    assert wanted <= names
    assert pinned["torch"] == "2.13.0"
    assert not [version for version in pinned.values() if "+" in version]


@pytest.mark.parametrize("algo", groups()["algo"])
def test_an_algorithm_is_one_name_in_conf_and_code_and_its_keys_are_its_fields(algo: str) -> None:
    written = yaml.safe_load((conf_dir() / "algo" / f"{algo}.yaml").read_text())
    assert written["name"] == algo
    module = plugins.load("agents.algorithms", algo)
    assert module.ACTIONS
    if "defaults" not in written:
        assert set(written) == set(module.AlgorithmSpec.model_fields)


def test_the_folder_of_algorithms_holds_algorithms_and_nothing_else() -> None:
    assert list(plugins.available("agents.algorithms")) == sorted(groups()["algo"])


@pytest.mark.parametrize("task", groups()["task"])
def test_a_task_that_can_be_chosen_can_be_run(task: str) -> None:
    assert yaml.safe_load((conf_dir() / "task" / f"{task}.yaml").read_text())["task"] == task
    assert callable(plugins.load("tasks", task).run)


def test_every_make_target_of_a_verb_names_a_task_that_exists() -> None:
    verbs = {word.removeprefix("task=") for word in (ROOT / "Makefile").read_text().split() if word.startswith("task=")}
    assert {verb.rstrip(":") for verb in verbs} <= set(groups()["task"])


def test_gymnasium_finds_the_environment_whichever_is_imported_first() -> None:
    for order in ("import wealtharena, gymnasium", "import gymnasium, wealtharena"):
        code = (
            f"{order}; from gymnasium.envs.registration import registry; print('wealtharena/Portfolio-v0' in registry)"
        )
        done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "True"


def test_the_public_names_are_imported_late_and_exist() -> None:
    import wealtharena

    assert set(wealtharena.__all__) <= set(dir(wealtharena))
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = wealtharena.nothing_like_it
    for name in wealtharena.__all__:
        assert callable(getattr(wealtharena, name))
    importlib.reload(wealtharena)  # registering twice is no error


def test_the_changelog_is_cut_by_versions_and_has_each_heading_once_a_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    assert sections[0].startswith("Unreleased\n")
    version = PROJECT["project"]["version"]
    dated = [re.match(r"(\d+\.\d+\.\d+) - (\d{4}-\d\d-\d\d)\n", section) for section in sections[1:]]
    assert all(dated), "a version's heading is `## 1.2.3 - 2026-01-31`"
    assert dated[0][1] == version, "the newest version is that of pyproject.toml"
    for section in sections:
        headings = re.findall(r"^### (.+)$", section, flags=re.MULTILINE)
        assert set(headings) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
        assert len(set(headings)) == len(headings), section[:12]
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (cited["version"], str(cited["date-released"])) == (version, dated[0][2])


def test_the_workflow_calls_make_targets_that_exist_on_every_python_that_is_named() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    steps = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert {step.split()[0] for step in steps} == {"make"}
    assert {step.split()[1] for step in steps} <= set(targets)
    tried = workflow["jobs"]["test"]["strategy"]["matrix"]["python-version"]
    named = re.findall(r"Python :: (3\.\d+)", " ".join(PROJECT["project"]["classifiers"]))
    assert tried == named


def test_the_walk_through_a_run_names_files_and_functions_that_exist() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = [
        line.split("|")[2:4]
        for line in page.split("## Words")[0].splitlines()
        if line.startswith("| ") and ".py`" in line
    ]
    assert len(rows) > 15
    for files, functions in rows:
        paths = [ROOT / "wealtharena" / name for name in re.findall(r"`([^`]+)`", files)]
        defined = {
            node.name
            for path in paths
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.FunctionDef)
        }
        assert set(re.findall(r"`([^`]+)`", functions)) <= defined, files


def test_the_architecture_page_and_the_index_name_every_room() -> None:
    rooms = {path.parent.name for path in (ROOT / "wealtharena").glob("*/__init__.py")}
    for page in ("architecture.md", "index.md"):
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        assert {room for room in rooms if not re.search(rf"\b{room}\b", text)} == set(), page


def test_every_decision_has_a_status_and_a_date_and_stands_in_the_index() -> None:
    folder = ROOT / "docs" / "decisions"
    rows = [line for line in (folder / "index.md").read_text(encoding="utf-8").splitlines() if line.startswith("| [")]
    expected = []
    for path in sorted(folder.glob("[0-9]*.md")):
        title, _, status, *_ = path.read_text(encoding="utf-8").splitlines()
        number = path.name[:3]
        said = re.fullmatch(r"Status: (.+), (\d{4}-\d\d-\d\d)\.", status)
        assert title.startswith(f"# {number} "), path.name
        assert said, f"{path.name}: its third line is not like `Status: accepted, 2026-11-26.`"
        expected.append(f"| [{number}]({path.name}) | {title[6:]} | {said[1]} | {said[2]} |")
    assert rows == expected
    assert len({row[:7] for row in rows}) == len(rows), "two decisions have one number"


def test_the_hashes_of_an_installation_are_what_pip_reports(tmp_path: Path) -> None:
    item = {
        "metadata": {"name": "torch", "version": "2.13.0+cpu"},
        "download_info": {"archive_info": {"hashes": {"sha256": "ab"}}},
    }
    (tmp_path / "report.json").write_text(json.dumps({"install": [item]}))
    command = [sys.executable, str(ROOT / ".ci" / "lock.py"), str(tmp_path / "report.json")]
    made = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert made.splitlines()[1:] == ["torch==2.13.0 --hash=sha256:ab"]


PUBLIC = {
    "study.Study.vector_env": "for people who train with another library",
    "envs.portfolio_env.PortfolioEnv.describe_observation": "for people who train with another library",
    "prediction.manager.ProductionModelManager.unload": "the Python face of serving",
    "registry.checkpoints.ModelCheckpoint.delete_checkpoint": "the Python face of the registry",
}


def test_nothing_public_is_there_for_tests_alone() -> None:
    assert reading.called_by_nobody() <= set(PUBLIC)
    assert PUBLIC.keys() <= reading.called_by_nobody(), "it has a caller now: take it off the list"


def test_every_key_of_the_configuration_is_read_by_some_code() -> None:
    assert reading.read_by_nobody() == set()


def test_every_key_of_the_configuration_says_what_it_is() -> None:
    """Unit, range and the rest are looked at where the page of keys is made."""
    assert reading.described_by_nobody() == set()


def test_a_test_that_a_missing_package_skips_says_how_to_install_it() -> None:
    silent = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in reading.sources()
        if "importorskip(" in (text := path.read_text(encoding="utf-8"))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith("importorskip")
        and not re.search(r"pip install -e '\.\[\w+\]'", ast.unparse(node))
    ]
    assert silent == []


def test_every_suppression_says_why() -> None:
    silent = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in reading.sources()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if SUPPRESSES.search(line) and not SAYS_WHY.search(line)
    ]
    assert silent == [], "name the code and add the reason: `# type: ignore[code]  # a reason`"


def test_no_type_is_ignored_where_none_is_checked() -> None:
    """mypy reads the package alone."""
    idle = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in reading.sources()
        if reading.PACKAGE not in path.parents
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"[^`\"]#\s*type:\s*ignore", line)
    ]
    assert idle == []


def test_no_file_is_longer_than_400_lines_and_no_function_than_60() -> None:
    """The two loops of the kernel are read from top to bottom, each as one."""
    assert {str(path.relative_to(ROOT)): lines for path, lines in reading.file_lengths() if lines > 400} == {}
    long = {name for name, lines in reading.function_lengths() if lines > 60}
    assert long == {"wealtharena.envs.kernel.loops.step_batch", "wealtharena.envs.kernel.loops.walk"}


WAITS = {  # what may wait without a limit, and why
    "wealtharena/agents/direct/pathwise.py: other.result()": "arithmetic of this process's own, of the size of what the caller does meanwhile",
    "wealtharena/tracking/wandb_run.py: self._inbox.get()": "a thread of its own waits for work, and nobody for it",
    "wealtharena/deployment/lines.py: self._some.wait()": "a thread of its own waits for work, and nobody for it",
    "wealtharena/trading/carrying.py: self._lock.acquire()": "held while an agent acts on files of its own, lent while it waits for anybody",
    "wealtharena/deployment/limits.py: fcntl.flock(descriptor, fcntl.LOCK_EX)": "held for two reads of shared memory; the kernel frees it with its holder",
}


def test_no_wait_for_another_thread_or_process_is_without_a_limit() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {call}"
        for path in sorted((ROOT / "wealtharena").rglob("*.py"))
        for _, call in waits.endless(path)
    }
    assert found == WAITS.keys(), "give it a limit and an error (agents/patience.py), or a reason above"


@pytest.mark.parametrize(
    "call",
    ["ray.get(x)", "thread.join()", "self._queue.get()", "process.wait()", "lock.acquire()", "future.result()",
     "group.foreach_learner(f, x=1)", "subprocess.run(command, check=True)", "fcntl.flock(f, fcntl.LOCK_EX)"],
)  # fmt: skip
def test_a_wait_without_a_limit_is_found(tmp_path: Path, call: str) -> None:
    (tmp_path / "code.py").write_text(f"def f():\n    return {call}\n")
    assert [text for _, text in waits.endless(tmp_path / "code.py")] == [call]


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make as if the environment were there."""
    stamps = [word for name in ("run", "dev", "bench") for word in ("-o", f".venv/.stamp-{name}")]
    return subprocess.run(
        ["make", "--no-print-directory", *stamps, *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


def test_the_benchmarks_that_make_runs_need_no_argument() -> None:
    scripts = [word.strip(";") for word in make("-n", "bench").stdout.split() if word.startswith("benchmarks/")]
    needy = re.compile(r'add_argument\("[a-z]\w*"(?!.*nargs="[*?]")')
    assert "benchmarks/env_step.py" in scripts
    assert [script for script in scripts if needy.search((ROOT / script).read_text())] == []


@pytest.mark.parametrize("study", ["outputs/no/such/study.journal", "README.md", "docs"])
def test_a_dashboard_of_no_study_is_refused_with_a_way_out(study: str) -> None:
    refused = make("dashboard", f"STUDY={study}")
    assert refused.returncode == 2
    assert f"{study} is no study" in refused.stderr
    assert "make sweep, or STUDY=" in refused.stderr


def test_results_of_no_market_are_refused_with_a_way_out() -> None:
    refused = make(f"BIN={shlex.quote(str(Path(sys.executable).parent))}", "results", "MARKET=no/such/folder")
    assert refused.returncode == 2
    assert "no/such/folder lacks stocks_asx_daily.parquet" in refused.stderr
    assert "make results MARKET=<folder>" in refused.stderr
