from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
import wandb

from tests.registry.shelf import AGENT, save
from wealtharena.config import compose
from wealtharena.deployment import server
from wealtharena.errors import CheckpointError, ConfigError, PromotionError, UnknownCheckpointError
from wealtharena.registry import ModelCheckpoint, history
from wealtharena.tasks import deploy, serve

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run one of the two tasks over the test's own folder; return its exit code and what it printed."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)

    def go(task: str, *overrides: str) -> tuple[int, str]:
        spec = compose([f"task={task}", "tracking=none", *overrides])
        code = {"deploy": deploy, "serve": serve}[task].run(spec)
        return code, capsys.readouterr().out

    return go


@pytest.fixture
def store(tmp_path: Path) -> ModelCheckpoint:
    store = ModelCheckpoint(tmp_path / "checkpoints")
    save(store, "weak", verdict="unproven")
    save(store, "good", verdict="promotable")
    save(store, "made-up", agent="etf", simulated=True)
    return store


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Take note of every run directory that is not kept."""
    asked: list[str] = []
    monkeypatch.setattr(deploy, "forget_run", lambda: asked.append("no folder stays"))
    return asked


def test_deploy_promotes_the_best_of_every_agent(run: Run, store: ModelCheckpoint) -> None:
    code, said = run("deploy")
    assert code == 0
    assert "cryptocurrencies: good is in production, verdict promotable" in said
    assert "etf: made-up is in paper, verdict unproven SIMULATED" in said
    assert "commodities: no checkpoints" in said


def test_a_promotion_is_an_artifact_named_best_and_by_its_stage_where_wandb_is_on(
    run: Run, store: ModelCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W&B's own artifact; only the connection, somebody's paid service, is replaced."""
    logged: list[tuple[wandb.Artifact, list[str]]] = []
    linked: list[tuple[str, str, list[str]]] = []

    class Session:
        def log_artifact(self, artifact: wandb.Artifact, aliases: list[str]) -> wandb.Artifact:
            logged.append((artifact, aliases))
            return artifact

        def link_artifact(self, artifact: wandb.Artifact, target: str, aliases: list[str]) -> None:
            linked.append((artifact.name, target, aliases))

    monkeypatch.setattr(wandb, "init", lambda **_: nullcontext(Session()))
    place = "wandb-registry-model/crypto"
    code, _ = run("deploy", "deploy.agents=[crypto]", "tracking.wandb.mode=online", f"tracking.wandb.registry={place}")
    assert code == 0
    assert linked == [(f"policy-{AGENT}", place, ["best", "production"])]
    ((artifact, aliases),) = logged
    assert (artifact.name, artifact.type, aliases) == (f"policy-{AGENT}", "model", ["best", "production"])
    assert {"policy.onnx", "manifest.json", "metadata.json"} <= set(artifact.manifest.entries)
    assert artifact.metadata["version"] == "good"


def test_deploy_passes_over_a_corrupted_best(run: Run, store: ModelCheckpoint) -> None:
    path = store.root / AGENT / "good" / "policy.onnx"
    path.write_bytes(path.read_bytes()[:100])
    code, said = run("deploy", "deploy.agents=[crypto]")
    assert code == 0
    assert "good/policy.onnx: content differs" in said
    assert "weak is in paper" in said


def test_forcing_is_said_and_rolling_back_goes_back(run: Run, store: ModelCheckpoint) -> None:
    run("deploy")
    code, said = run(
        "deploy", "deploy.agents=[crypto]", "deploy.checkpoints=[weak]", "deploy.force_reason='two weeks of fills'"
    )
    assert code == 0
    assert "FORCED (two weeks of fills)" in said
    code, said = run("deploy", "deploy.action=rollback", "deploy.agents=[crypto]")
    assert (code, "production is back at good" in said) == (0, True)
    code, said = run("deploy", "deploy.action=withdraw", "deploy.agents=[crypto]", "deploy.force_reason='odd fills'")
    assert code == 0
    assert history.read_pointer(store.root, AGENT, "production") is None


def test_what_cannot_be_forced_is_a_failure(run: Run, store: ModelCheckpoint) -> None:
    with pytest.raises(PromotionError, match="SIMULATED"):
        run("deploy", "deploy.agents=[etf]", "deploy.force_reason=please")
    assert history.read_pointer(store.root, "etf", "production") is None


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("deploy.checkpoints=[nope]",), UnknownCheckpointError),
        (("deploy.action=withdraw",), PromotionError),
        (("deploy.agents=[forex]",), CheckpointError),
    ],
)
def test_what_cannot_be_done_for_the_one_agent_asked_for_is_raised_and_leaves_nothing(
    run: Run,
    store: ModelCheckpoint,
    words: tuple[str, ...],
    kind: type[CheckpointError],
    forgotten: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = history.read_history(store.root)
    with pytest.raises(kind) as refused:
        run("deploy", "deploy.agents=[crypto]", *words)
    assert refused.value.hint
    said = capsys.readouterr()
    assert str(refused.value) not in said.out
    assert said.err == ""
    assert history.read_history(store.root) == before
    assert forgotten or refused.value.exit_code == 2  # which the command line forgets by itself


def test_of_several_agents_each_failure_is_told_and_the_others_are_seen_to(
    tmp_path: Path,
    store: ModelCheckpoint,
    forgotten: list[str],
    capsys: pytest.CaptureFixture[str],
    run: Run,
) -> None:
    run("deploy", "deploy.agents=[crypto]")
    words = ["task=deploy", "tracking=none", "deploy.agents=[etf,crypto]", "deploy.action=withdraw"]
    assert deploy.run(compose(words)) == 1
    assert capsys.readouterr().err == "error: etf has nothing in production; there is nothing to withdraw\n"
    assert history.read_pointer(store.root, AGENT, "production") is None
    assert not forgotten
    assert deploy.run(compose(words)) == 1
    assert len(capsys.readouterr().err.splitlines()) == 2
    assert forgotten


def test_one_agent_by_two_names_is_not_rolled_back_twice(run: Run, store: ModelCheckpoint) -> None:
    with pytest.raises(ConfigError, match=f"names {AGENT} twice"):
        run("deploy", f"deploy.agents=[crypto,{AGENT}]", "deploy.action=rollback")


def test_a_slip_of_the_pen_deletes_nothing(run: Run, store: ModelCheckpoint) -> None:
    with pytest.raises(UnknownCheckpointError):
        run("deploy", "deploy.agents=[crypto]", "deploy.checkpoints=[nope]", "deploy.keep=0")
    assert {row["version"] for row in store.list_checkpoints(AGENT)} == {"weak", "good"}


def test_a_retention_spares_what_was_served(run: Run, store: ModelCheckpoint) -> None:
    for day in range(1, 4):
        save(store, f"old-{day}", described={"created_at": f"2025-01-0{day}T00:00:00.000000Z"})
    run("deploy")
    code, said = run("deploy", "deploy.agents=[crypto]", "deploy.keep=1")
    assert code == 0
    assert "deleted" in said
    left = {row["version"] for row in store.list_checkpoints(AGENT)}
    assert "good" in left
    assert not left & {"old-1", "old-2", "old-3"}


@pytest.mark.parametrize(
    "words",
    [("deploy.action=rollback",), ("deploy.checkpoints=[x]",), ("deploy.force_reason=x",), ("deploy.action=withdraw",)],
)
def test_what_is_about_one_agent_needs_its_name(run: Run, store: ModelCheckpoint, words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match=r"deploy\.agents"):
        run("deploy", *words)


def test_an_unknown_agent_is_an_error_with_a_suggestion(run: Run, store: ModelCheckpoint) -> None:
    with pytest.raises(CheckpointError, match="did you mean"):
        run("deploy", "deploy.agents=[cryptocurency]")


def test_a_file_is_no_registry_without_versions(run: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ConfigError, match=r"notes\.txt is a file; name the folder of the registry"):
        run("deploy", "deploy.action=list", f"paths.checkpoints={tmp_path / 'notes.txt'}")


def test_the_list_changes_nothing(run: Run, store: ModelCheckpoint, forgotten: list[str]) -> None:
    long = save(store, "20260102-030405-abcdef-judged").name
    loose = {"verdict": {"status": "promotable", "reasons": [], "evidence": {}, "limits": {"min_seeds": 1}}}
    save(store, "easy", described=loose)
    before = history.read_history(store.root)
    code, said = run("deploy", "deploy.action=list")
    assert code == 0
    assert "made-up" in said
    assert f"{AGENT}  {long} " in said, "a version is there to be typed again"
    assert "easy counts as unproven: Judged by looser rules than ship: min_seeds 1 (3)." in " ".join(said.split())
    assert history.read_history(store.root) == before
    assert forgotten == ["no folder stays"]


@pytest.mark.slow
def test_a_key_is_made_by_a_command_shown_once_and_kept_as_a_hash(run: Run, tmp_path: Path) -> None:
    named = ("serve.key_name=alice", "serve.keys_file=keys.json")
    code, said = run("serve", "serve.action=create_key", *named)
    secret = said.split()[0]
    assert (code, secret.startswith("wa_")) == (0, True)
    _, listed = run("serve", "serve.action=list_keys", *named)
    assert "alice" in listed
    assert secret not in listed + (tmp_path / "keys.json").read_text()
    with pytest.raises(ConfigError, match="has a key already"):
        run("serve", "serve.action=create_key", *named)
    run("serve", "serve.action=revoke_key", *named)
    _, listed = run("serve", "serve.action=list_keys", *named)
    assert "alice" not in listed
    with pytest.raises(ConfigError, match="needs a name"):
        run("serve", "serve.action=create_key")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_without_keys_the_server_refuses_to_answer_others(run: Run, host: str) -> None:
    with pytest.raises(ConfigError, match=r"there are no API keys.*serve\.action=create_key"):
        run("serve", f"serve.host='{host}'", "serve.keys_file=keys.json")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_port_0_becomes_a_free_one_and_another_stays(host: str) -> None:
    asked = compose(["task=serve", f"serve.host={host}", "serve.port=0"]).serve
    taken = server.taking_port(asked)
    assert taken.port > 0
    assert server.url(taken) == f"http://{host}:{taken.port}/"
    assert server.taking_port(taken) == taken


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "a..b"])
def test_an_address_of_nobody_here_is_refused_in_words(host: str) -> None:
    with pytest.raises(ConfigError, match=rf"serve\.host={host} serve\.port=8000 cannot be listened on: .+; choose"):
        server.taking_port(compose(["task=serve", f"serve.host={host}"]).serve)


def test_a_port_that_somebody_listens_on_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ConfigError, match="already in use"):
        server.taking_port(compose(["task=serve", f"serve.port={taken.getsockname()[1]}"]).serve)
