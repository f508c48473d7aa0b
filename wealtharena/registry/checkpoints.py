"""ModelCheckpoint: the shelf of saved agents, one self-contained verified folder a version."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wealtharena.errors import CheckpointError
from wealtharena.files import sync_folder, write_json
from wealtharena.registry import history
from wealtharena.registry.inference import OnnxPolicy
from wealtharena.registry.integrity import MANIFEST, VerifiedFiles, read_verified, write_manifest
from wealtharena.registry.metadata import Metadata, parse_metadata
from wealtharena.registry.names import check_agent, check_version, is_agent, resolve_agent
from wealtharena.registry.recording import Recording

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
        if not self.root.is_dir():
            return []
        return sorted(p.name for p in self.root.iterdir() if is_agent(p.name) and p.is_dir() and not p.is_symlink())

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
        recording: Recording,
        metadata: Mapping[str, Any],
        config: str,
    ) -> Path:
        """Write one checkpoint folder, whole or not at all, and return it.

        `policy_folder` is what the agents room's `save_policy` wrote, `recording` the torch policy's own answers.
        The finished folder is read back, verified and asked for the recorded decisions before it gets its name:
        CheckpointError where any weight differs by more than 1e-5, or where the version exists already.
        """
        final = self.root / check_agent(agent) / check_version(version)
        if final.exists() or final.is_symlink():
            raise CheckpointError(
                f"{agent}/{version} exists already", hint="a version is never overwritten; delete it first"
            )
        described = parse_metadata(
            {**metadata, "agent": agent, "version": version}, where=f"{agent}/{version}/metadata.json"
        )
        with _folder_in_the_making(final) as folder:
            for name in _FROM_POLICY:
                if (policy_folder / name).is_file():
                    shutil.copyfile(policy_folder / name, folder / name)
            (folder / "policy.onnx").write_bytes(onnx)
            (folder / "probe.npz").write_bytes(recording.to_bytes())
            (folder / "config.yaml").write_text(config, encoding="utf-8")
            write_json(folder / "metadata.json", described.model_dump(mode="json"))
            write_manifest(folder)
            OnnxPolicy.from_files(read_verified(folder)).check_probe()
        event = {"event": "save", "agent": agent, "version": version, "verdict": described.verdict.status}
        history.append(self.root, {**event, "simulated": described.simulated})
        return final

    def load_checkpoint(
        self, agent: str, version: str | None = None, *, manifest_sha256: str | None = None
    ) -> LoadedCheckpoint:
        """Return a version (default: the newest) after verifying every byte; unpickles nothing, needs no torch.

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
        files = read_verified(self._folder(agent, version), manifest_sha256=manifest_sha256)
        policy = OnnxPolicy.from_files(files)
        if (policy.metadata.agent, policy.metadata.version) != (agent, version):
            raise CheckpointError(
                f"{agent}/{version}/metadata.json: speaks of {policy.metadata.model_path}",
                hint="folders are not renamed",
            )
        return LoadedCheckpoint(files=files, policy=policy)

    def list_checkpoints(self, agent: str) -> list[dict[str, Any]]:
        """Return an agent's checkpoints newest first, as dicts with `model_path`, version, verdict, stages and figures.

        Reads metadata only; one whose metadata cannot be read is listed with its `error`, after the others.
        """
        agent = self.resolve(agent)
        folder = self.root / agent
        if not folder.is_dir():
            return []
        try:
            stages = self._stages(agent)
        except CheckpointError:  # a damaged record hides no checkpoint; whoever asks for the stage itself is told
            stages = {}
        rows = [
            _row(path, stages.get(path.name, []))
            for path in folder.iterdir()
            if path.is_dir() and not path.name.startswith(".")
        ]
        return sorted(rows, key=lambda row: (str(row["created_at"]), str(row["version"])), reverse=True)

    def delete_checkpoint(self, agent: str, version: str, *, even_if_served: bool = False) -> None:
        """Delete a version; CheckpointError for one on a stage now.

        One that was in production before is evidence and a way back: it goes only with `even_if_served=True`.
        """
        agent = self.resolve(agent)
        with history.locked(self.root):
            self._delete(agent, version, even_if_served=even_if_served)

    def prune(self, agent: str, *, keep: int) -> list[str]:
        """Delete all but the newest `keep` versions and return the deleted; spares every one that is or was served."""
        if keep < 0:
            raise CheckpointError(f"keep={keep} must not be negative", hint="keep=10 keeps the ten newest")
        agent = self.resolve(agent)
        deleted = []
        with history.locked(self.root):
            spared = history.once_in_production(self.root, agent) | set(self._stages(agent))
            for row in self.list_checkpoints(agent)[keep:]:
                if row["version"] not in spared:
                    self._delete(agent, str(row["version"]), even_if_served=False)
                    deleted.append(str(row["version"]))
        return deleted

    def _delete(self, agent: str, version: str, *, even_if_served: bool) -> None:
        folder = self._folder(agent, version)
        stages = self._stages(agent).get(version, [])
        if stages:
            raise CheckpointError(
                f"{agent}/{version} is on stage {stages[0]}", hint="promote another version or roll back first"
            )
        if not even_if_served and version in history.once_in_production(self.root, agent):
            raise CheckpointError(
                f"{agent}/{version} was in production", hint="pass even_if_served=True to delete it all the same"
            )
        history.append(self.root, {"event": "delete", "agent": agent, "version": version})
        doomed = folder.with_name(f".{version}.{secrets.token_hex(4)}.deleted")
        folder.rename(doomed)
        sync_folder(folder.parent)
        shutil.rmtree(doomed)

    def _folder(self, agent: str, version: str) -> Path:
        folder = self.root / agent / check_version(version)
        if not folder.exists() and not folder.is_symlink():
            raise CheckpointError(
                f"{agent}/{version} does not exist", hint=f"list_checkpoints({agent!r}) shows what does"
            )
        return folder

    def _stages(self, agent: str) -> dict[str, list[str]]:
        stages: dict[str, list[str]] = {}
        for stage in history.STAGES:
            pointer = history.read_pointer(self.root, agent, stage)
            if pointer is not None:
                stages.setdefault(pointer.version, []).append(stage)
        return stages


@contextlib.contextmanager
def _folder_in_the_making(final: Path) -> Iterator[Path]:
    """Yield a hidden sibling to fill; flush it and give it its name, or remove it on an error."""
    final.parent.mkdir(parents=True, exist_ok=True)
    folder = final.with_name(f".{final.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    folder.mkdir()
    try:
        yield folder
        for path in folder.iterdir():
            with path.open("rb+") as handle:
                os.fsync(handle.fileno())
        sync_folder(folder)
        folder.rename(final)
        sync_folder(final.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _row(folder: Path, stages: list[str]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "model_path": str(folder),
        "agent": folder.parent.name,
        "version": folder.name,
        "stages": stages,
        "created_at": "",
    }
    path = folder / "metadata.json"
    try:
        if folder.is_symlink() or path.is_symlink() or not (folder / MANIFEST).is_file():
            raise CheckpointError(f"{folder.name}: not a checkpoint folder", hint="links and half folders are refused")
        meta = parse_metadata(
            VerifiedFiles(folder, {path.name: path.read_bytes()}, "").json(path.name), where=path.name
        )
    except (CheckpointError, OSError) as error:
        return {**row, "error": str(error)}
    row.update(created_at=meta.created_at, algo=meta.algo, asset=meta.asset, symbols=list(meta.symbols), seed=meta.seed)
    row.update(
        verdict=meta.verdict.status, simulated=meta.simulated, source=meta.data.source, config_hash=meta.config_hash
    )
    return {**row, "metrics": meta.metrics.get("test", {}), "evidence": meta.verdict.evidence}
