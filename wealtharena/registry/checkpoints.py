"""ModelCheckpoint: the shelf of saved agents, one self-contained verified folder a version."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wealtharena.errors import CheckpointError, UnknownCheckpointError
from wealtharena.evaluation.ledger import Ledger
from wealtharena.files import flush, make_folder, require_appendable, require_writable, sync, write_json
from wealtharena.registry import history
from wealtharena.registry.gate import by_ledger, by_shipped_rules, held
from wealtharena.registry.inference import OnnxPolicy
from wealtharena.registry.integrity import (
    MANIFEST,
    VerifiedFiles,
    listed,
    read_described,
    read_verified,
    write_manifest,
)
from wealtharena.registry.metadata import Metadata, parse_metadata
from wealtharena.registry.names import check_agent, check_version, is_agent, resolve_agent
from wealtharena.registry.probe import Probe

_FROM_POLICY = ("weights.pt", "scaler.json", "policy.json")


@dataclass(frozen=True, eq=False)
class LoadedCheckpoint:
    """A verified checkpoint folder: its bytes, and the policy that answers from them."""

    files: VerifiedFiles
    policy: OnnxPolicy

    @property
    def metadata(self) -> Metadata:
        return self.policy.metadata


class ModelCheckpoint:
    """Checkpoints under one folder, `<root>/<agent>/<version>/`; the version is the id of the run that made it.

    An agent may be named by its id (`cryptocurrencies`), its asset class (`crypto`) or `asset=crypto`.
    """

    def __init__(self, root: str | Path = "checkpoints") -> None:
        self.root = Path(root)

    def agents(self) -> list[str]:
        """Return the agents that have a folder here, in alphabetical order; what is no agent's name is passed over."""
        return [p.name for p in listed(self.root, folders=True) if is_agent(p.name) and not p.is_symlink()]

    def resolve(self, agent: str) -> str:
        """Return the agent id that `agent` means; CheckpointError for an unknown one."""
        return resolve_agent(agent, known=self.agents())

    def save_checkpoint(
        self,
        agent: str,
        version: str,
        *,
        policy_folder: Path,
        onnx: bytes,
        probe: Probe,
        metadata: Mapping[str, Any],
        config: str,
    ) -> Path:
        """Write one checkpoint folder, whole or not at all, and return it.

        `policy_folder` is what the agents room's `save_policy` wrote, `probe` the torch policy's own answers.
        The finished folder is read back, verified and asked for the recorded decisions before it gets its name:
        CheckpointError where any weight differs by more than 1e-5, or where the version exists already; but one with the
        same policy from the same configuration and data is what an interrupted run left here: it is kept as it was judged.
        """
        final = self.root / check_agent(agent) / check_version(version)
        described = parse_metadata(
            {**metadata, "agent": agent, "version": version}, where=f"{agent}/{version}/metadata.json"
        )
        if os.path.lexists(final):
            return self._same(final, described, policy_folder)
        with history.told(self.root), _folder_in_the_making(final) as folder:
            for name in _FROM_POLICY:
                if (policy_folder / name).is_file():
                    shutil.copyfile(policy_folder / name, folder / name)
            (folder / "policy.onnx").write_bytes(onnx)
            (folder / "probe.npz").write_bytes(probe.to_bytes())
            (folder / "config.yaml").write_text(config, encoding="utf-8")
            write_json(folder / "metadata.json", described.model_dump(mode="json"))
            write_manifest(folder)
            files = read_verified(folder)
            OnnxPolicy.from_files(files, made_here=True).check_probe()
            flush(folder)
            self._name(folder, final, files, described)
        return final

    def _name(self, folder: Path, final: Path, files: VerifiedFiles, described: Metadata) -> None:
        """Give a finished folder its name, after a line of the history that says what it holds."""
        event = {"event": "save", "agent": described.agent, "version": described.version}
        facts = {"verdict": described.verdict.status, "simulated": described.simulated}
        with history.locked(self.root):
            if os.path.lexists(final):
                raise _exists(final)
            history.append(self.root, {**event, **facts, "manifest_sha256": files.manifest_sha256})
            folder.rename(final)
            sync(final.parent)

    def _same(self, final: Path, described: Metadata, policy_folder: Path) -> Path:
        """Return the folder of a version that exists where it holds this policy, made from the same; else CheckpointError."""
        there = read_verified(final, manifest_sha256=self._recorded(described.agent, described.version))
        old = parse_metadata(there.json("metadata.json"), where=f"{final.name}/metadata.json")
        ours = {name: (policy_folder / name) for name in _FROM_POLICY if (policy_folder / name).is_file()}
        policy = all(there.content.get(name) == path.read_bytes() for name, path in ours.items())
        if not policy or (old.config_hash, old.data) != (described.config_hash, described.data):
            raise _exists(final)
        return final

    def _recorded(self, agent: str, version: str) -> str:
        """Return the manifest's hash that the history has of a version; CheckpointError where it has none."""
        found = history.saved(history.read_history(self.root, agent=agent), version)
        if found is None:
            raise CheckpointError(
                f"{agent}/{version}: the history does not say what was saved there",
                hint=f"{history.ADOPT} 'deploy.agents=[{agent}]'",
            )
        return found

    def check(self, *, signs: bool = True) -> None:
        """Raise the CheckpointError that saving a version would meet later: a damaged history, or no room or right to write.

        Where a line must come of it, `signs`, also that of a signed history without a key to go on with.
        """
        history.read_history(self.root)
        if signs:
            history.require_signable(self.root)
        with history.told(self.root):
            require_appendable(self.root / history.HISTORY)
            for agent in self.agents():
                require_writable(self.root / agent, room=1)

    def load_checkpoint(
        self, agent: str, version: str | None = None, *, manifest_sha256: str | None = None
    ) -> LoadedCheckpoint:
        """Return a version (default: the newest) after verifying every byte; unpickles nothing, needs no torch.

        The manifest must be the one that the history says was saved, and `manifest_sha256` where that is given.
        CheckpointError names the file that is missing, corrupted, foreign or a link.
        """
        agent = self.resolve(agent)
        if version is None:
            newest = self.list_checkpoints(agent)
            if not newest:
                raise CheckpointError(
                    f"{agent} has no checkpoints in {self.root.name}", hint=f"train it: task=train for {agent}"
                )
            version = str(newest[0]["version"])
        folder, recorded = self.folder(agent, version), self._recorded(agent, version)
        if manifest_sha256 is not None and manifest_sha256 != recorded:
            raise CheckpointError(
                f"{version}/{MANIFEST}: is not the one that was promoted", hint="restore the folder, or roll back"
            )
        return self.proven(read_verified(folder, manifest_sha256=recorded), agent, version)

    def proven(self, files: VerifiedFiles, agent: str, version: str) -> LoadedCheckpoint:
        """Return the policy of verified files, which must speak of the version whose folder they are of."""
        policy = OnnxPolicy.from_files(files)
        if (policy.metadata.agent, policy.metadata.version) != (agent, version):
            raise CheckpointError(
                f"{agent}/{version}/metadata.json: speaks of {policy.metadata.model_path}",
                hint="folders are not renamed",
            )
        return LoadedCheckpoint(files=files, policy=policy)

    def folders(self, agent: str) -> list[Path]:
        """Return the folders of an agent's versions; hidden ones, in the making or on the way out, are none."""
        return [path for path in listed(self.root / agent, folders=True) if not path.name.startswith(".")]

    def list_checkpoints(self, agent: str, *, ledger: Ledger | None = None) -> list[dict[str, Any]]:
        """Return an agent's checkpoints newest first, as dicts with paths, version, verdict, stages and figures.

        `model_path` is the version's folder and `weights_path` the file in it for `torch.load`; `load_checkpoint` verifies.

        Reads metadata only; one whose metadata cannot be read is listed with its `error`, after the others. A verdict that
        counts fewer trials than a `ledger` knows of its test window by now is listed as unproven. Where a version counts as
        less than it says of itself, `held` says why.
        """
        agent = self.resolve(agent)
        try:
            stages = self._stages(agent)
        except CheckpointError:  # a damaged record hides no checkpoint; whoever asks for the stage itself is told
            stages = {}
        try:
            events: list[dict[str, Any]] | None = history.read_history(self.root, agent=agent)
        except CheckpointError:  # a list shows what is there; whoever takes something from it is told
            events = None
        rows = [_row(path, stages.get(path.name, []), events, ledger) for path in self.folders(agent)]
        return sorted(rows, key=lambda row: (str(row["created_at"]), str(row["version"])), reverse=True)

    def delete_checkpoint(self, agent: str, version: str, *, even_if_served: bool = False) -> None:
        """Delete a version; CheckpointError for one on a stage now.

        One that was in production before is evidence and a way back: it goes only with `even_if_served=True`.
        """
        agent = self.resolve(agent)
        with history.locked(self.root):
            self._delete(agent, version, even_if_served=even_if_served)

    def prune(self, agent: str, *, keep: int, needed: Iterable[str] = ()) -> list[str]:
        """Delete all but the newest `keep` versions and return the deleted; CheckpointError for a `keep` below 0.

        Spares `needed`, what is on a stage and what was ever in production.
        """
        if keep < 0:
            raise CheckpointError(f"keep={keep} must not be negative", hint="keep=10 keeps the ten newest")
        agent = self.resolve(agent)
        deleted = []
        with history.locked(self.root):
            spared = history.once_in_production(self.root, agent) | set(self._stages(agent)) | set(needed)
            for row in self.list_checkpoints(agent)[keep:]:
                if row["version"] not in spared:
                    self._delete(agent, str(row["version"]), even_if_served=False, keep=keep)
                    deleted.append(str(row["version"]))
        return deleted

    def _delete(self, agent: str, version: str, *, even_if_served: bool, keep: int | None = None) -> None:
        folder = self.folder(agent, version)
        stages = self._stages(agent).get(version, [])
        if stages:
            raise CheckpointError(
                f"{agent}/{version} is on stage {stages[0]}", hint="promote another version or roll back first"
            )
        if not even_if_served and version in history.once_in_production(self.root, agent):
            raise CheckpointError(
                f"{agent}/{version} was in production", hint="pass even_if_served=True to delete it all the same"
            )
        event = {"event": "delete", "agent": agent, "version": version}
        history.append(self.root, event if keep is None else {**event, "keep": keep})
        doomed = folder.with_name(f".{version}.{secrets.token_hex(4)}.deleted")
        folder.rename(doomed)
        sync(folder.parent)
        shutil.rmtree(doomed)

    def folder(self, agent: str, version: str) -> Path:
        """Return the folder of a version; UnknownCheckpointError for one that never was, CheckpointError for one that is gone."""
        folder = self.root / agent / check_version(version)
        if folder in listed(folder.parent):
            return folder
        events = history.read_history(self.root, agent=agent)
        if deleted := history.deleted(events, version):
            raise CheckpointError(
                f"{agent}/{version} was deleted {deleted}",
                hint=f"name another version; or {history.put_back(agent)}",
            )
        if history.saved(events, version) is not None:
            raise CheckpointError(
                f"{agent}/{version} was saved and is not here", hint="restore its folder, or name another version"
            )
        owner = self.owner(version)
        raise UnknownCheckpointError(
            f"{agent}/{version} does not exist",
            hint=f"{version} is a version of {owner}" if owner else "task=deploy deploy.action=list shows what does",
        )

    def owner(self, place: str) -> str | None:
        """Return the agent that has a version of this name, or this folder of the registry; None where none has."""
        path = Path(place)
        for agent in self.agents():
            if path.parent != Path() and path.parent.resolve() == (self.root / agent).resolve():
                return agent
            if path.parent == Path() and any(folder.name == place for folder in self.folders(agent)):
                return agent
        return None

    def _stages(self, agent: str) -> dict[str, list[str]]:
        stages: dict[str, list[str]] = {}
        for stage in history.STAGES:
            pointer = history.read_pointer(self.root, agent, stage)
            if pointer is not None:
                stages.setdefault(pointer.version, []).append(stage)
        return stages


@contextlib.contextmanager
def _folder_in_the_making(final: Path) -> Iterator[Path]:
    """Yield a hidden sibling to fill and to rename; what is left of it, or of one that a crash left, is removed."""
    make_folder(final.parent)
    remains = re.compile(rf"\.{re.escape(final.name)}\.\d+-[0-9a-f]{{8}}\.tmp")
    for left in final.parent.iterdir():
        if remains.fullmatch(left.name):
            shutil.rmtree(left, ignore_errors=True)
    folder = final.with_name(f".{final.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _hash_of(folder: Path, events: Sequence[Mapping[str, Any]] | None) -> str | None:
    """Return the recorded hash of a listed folder; None where the history cannot be read, "" where it says nothing."""
    return None if events is None else history.saved(events, folder.name) or ""


def _exists(final: Path) -> CheckpointError:
    return CheckpointError(
        f"{final.parent.name}/{final.name} exists already", hint="a version is never overwritten; start another run"
    )


def _row(
    folder: Path, stages: list[str], events: Sequence[Mapping[str, Any]] | None, ledger: Ledger | None
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "model_path": str(folder),
        "weights_path": str(folder / "weights.pt"),
        "agent": folder.parent.name,
        "version": folder.name,
        "stages": stages,
        "created_at": "",
    }
    path = folder / "metadata.json"
    try:
        if folder.is_symlink() or path.is_symlink() or not (folder / MANIFEST).is_file():
            raise CheckpointError(f"{folder.name}: not a checkpoint folder", hint="links and half folders are refused")
        said = parse_metadata(read_described(folder, recorded=_hash_of(folder, events)), where=path.name)
        meta = by_ledger(by_shipped_rules(said), ledger)
        meta = held(meta, None if events is None else history.doubted(events, folder.name))
    except (CheckpointError, OSError) as error:
        return {**row, "error": str(error)}
    row.update(created_at=meta.created_at, algo=meta.algo, asset=meta.asset, symbols=list(meta.symbols), seed=meta.seed)
    row.update(
        verdict=meta.verdict.status, simulated=meta.simulated, source=meta.data.source, config_hash=meta.config_hash
    )
    if meta.verdict.status != said.verdict.status:
        row["held"] = meta.verdict.reasons[0]
    return {**row, "metrics": meta.metrics.get("test", {}), "evidence": meta.verdict.evidence}
