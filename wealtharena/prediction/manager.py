"""ProductionModelManager: promoted agents in memory, each one verified version at a time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, overload

import numpy as np

from wealtharena.config.specs.tilt import require_anchor
from wealtharena.errors import CheckpointError
from wealtharena.prediction.agent import AnswerLimits, ServedAgent, UnfitAnswerError, origin_of
from wealtharena.prediction.answers import Prediction, Predictions
from wealtharena.prediction.explain import explain
from wealtharena.prediction.inputs import InputError
from wealtharena.prediction.observations import Observations, Question, from_array, from_questions
from wealtharena.registry import history
from wealtharena.registry.checkpoints import ModelCheckpoint
from wealtharena.registry.history import Stage
from wealtharena.registry.integrity import MANIFEST, read_verified
from wealtharena.registry.onnx_trial import together

if TYPE_CHECKING:
    import pandas as pd


logger = logging.getLogger("wealtharena.prediction")
_Marks = tuple[tuple[int, ...] | None, ...]  # of files: time, inode and size; None of one that is not there


@dataclass
class ProductionModelManager:
    """Load promoted agents and ask them; safe to share between threads, needs neither torch nor ray.

    Agents go by id (`cryptocurrencies`), asset class (`crypto`) or `asset=crypto`. An agent answers from its production
    version, and from its paper version where it has none; every answer says which.
    """

    root: str | Path = "checkpoints"
    problems: dict[str, str] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.store = ModelCheckpoint(Path(self.root).absolute())  # one, wherever a notebook goes after this
        self._served: dict[str, ServedAgent] = {}
        self._marks: dict[str, tuple[_Marks, _Marks]] = {}  # of an agent's stages, and of what they rest on
        self._wanted: dict[str, Stage | None] = {}
        self._lock = threading.Lock()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise CheckpointError(
            "a manager is not copied or sent to another process",
            hint="make one there: ProductionModelManager(root), with the same root",
        )

    def load_agent_model(self, agent: str, *, stage: Stage | None = None) -> ServedAgent:
        """Return the agent's promoted version after verifying every byte and its recorded answers; keep it loaded.

        CheckpointError names the file that is wrong; what was loaded before goes on answering then.
        """
        agent = self.store.resolve(agent)
        with self._lock:
            try:
                marks = self._mark(agent), self._rests_on(agent)
            except OSError as error:
                raise CheckpointError(
                    f"{agent}: its stages cannot be read: {error.strerror}",
                    hint="let whoever runs this read its folder",
                ) from error
            served = self._load(agent, stage)
            if served is None:
                raise CheckpointError(
                    f"{agent} has nothing {'on stage ' + stage if stage else 'in production or on paper'}",
                    hint="promote a version with task=deploy",
                )
            self._served = {**self._served, agent: served}
            self._marks[agent], self._wanted[agent] = marks, stage
            self.problems = self._problems_with(agent, self._behind(agent, served))
        return served

    @overload
    def get_model_prediction(
        self, agent: str, bars: pd.DataFrame, portfolio: object | None = None, state: Mapping[str, Any] | None = None
    ) -> Prediction: ...
    @overload
    def get_model_prediction(
        self, agent: str, bars: object, portfolio: object | None = None, state: Mapping[str, Any] | None = None
    ) -> Prediction | list[Prediction]: ...
    def get_model_prediction(
        self, agent: str, bars: object, portfolio: object | None = None, state: Mapping[str, Any] | None = None
    ) -> Prediction | list[Prediction]:
        """Return target weights by symbol for recent bars or an observation; a list of answers for a batch.

        `bars` is a DataFrame in long form (timestamp, symbol, open, high, low, close, volume) with at least the
        checkpoint's `min_history_bars`, or an observation: raw features [A, window, F] ([N, ...] for a batch), or the
        environment's own flat vector [D] ([N, D]). `portfolio` is weights by symbol, a `Portfolio`, or an array
        [A + 3]; without one an empty portfolio is assumed and the answer says so. `state` is the last answer's, for a
        policy with memory. InputError names the field that can't be used.
        """
        served = (self._served.get(agent) if isinstance(agent, str) else None) or self._find(agent)
        if state is not None and not isinstance(state, Mapping):
            raise InputError(
                "state", f"is a {type(state).__name__}", hint="hand back the whole `state` of the last answer"
            )
        if hasattr(bars, "columns"):
            asked = Question(bars=bars, portfolio=portfolio, state=state)  # type: ignore[arg-type]  # checked by those who read them
            return self.answer(served, from_questions(served.policy, [asked]))[0]
        answers = self.answer(served, from_array(served.policy, bars, portfolio, state))
        return answers[0] if np.ndim(bars) in (1, 3) else list(answers)  # type: ignore[arg-type]  # from_array refused all but arrays

    def answer(self, served: ServedAgent, given: Observations) -> Predictions:
        """Return the agent's answers; one that answers with no portfolio is set aside until its stage changes hands.

        UnfitAnswerError then, and CheckpointError for whoever asks it next.
        """
        try:
            return served.predict(given)
        except UnfitAnswerError as error:
            agent = served.pointer.agent
            with self._lock:
                if self._served.get(agent) is served:
                    self._served = {name: other for name, other in self._served.items() if name != agent}
                    self.problems = {**self.problems, agent: f"set aside: {error}"}
            logger.error("%s is set aside: %s", agent, error)
            raise

    def list_agents(self) -> list[dict[str, Any]]:
        """Return every agent of the registry: what is on each stage, and whether it is loaded; the configured first."""
        from wealtharena.registry.names import agents_by_asset

        rows = []
        assets = {agent: asset for asset, agent in agents_by_asset().items()}
        for agent in [*assets, *(name for name in self.store.agents() if name not in assets)]:
            served = self._served.get(agent)
            row: dict[str, Any] = {"agent": agent, "asset": assets.get(agent), "loaded": served is not None}
            for stage in history.STAGES:
                try:
                    pointer = history.read_pointer(self.store.root, agent, stage)
                    row[stage] = pointer.version if pointer is not None else None
                except CheckpointError as error:
                    row[stage], row["problem"] = None, error.message
            row["serving"] = served.pointer.to_dict() if served is not None else None
            row.setdefault("problem", self.problems.get(agent))
            rows.append(row)
        return rows

    def unload(self, agent: str) -> None:
        """Forget a loaded agent; nothing happens where it is not loaded."""
        agent = self.store.resolve(agent)
        with self._lock:
            self._served = {name: served for name, served in self._served.items() if name != agent}
            self._marks.pop(agent, None)

    def serving(self, agent: str) -> ServedAgent | None:
        """Return what answers for an agent id at this moment, None where nothing does."""
        return self._served.get(agent)

    @property
    def loaded(self) -> Mapping[str, ServedAgent]:
        """Return the loaded agents by id; the mapping is never changed, only replaced."""
        return self._served

    def refresh(self) -> list[str]:
        """Take up promotions, rollbacks and withdrawals of every agent since the last call; return the changed agents.

        A version that fails verification is left out: what was loaded goes on answering, and `problems` says why. So it
        does where what answers could not be loaded again: its files or the history are not as they were. What is wrong
        with one agent, whatever it is, keeps none of the others back.
        """
        agents = dict.fromkeys([*self.store.agents(), *self._served])
        with together():
            return [agent for agent in agents if self._take_up(agent)]

    def _take_up(self, agent: str) -> bool:
        """Serve what stands on the agent's stages now; return whether that, or a problem, changed since the last call."""
        try:
            marks = self._mark(agent), self._rests_on(agent)
        except OSError as error:
            return self._note(agent, f"{agent}: its stages cannot be read: {error.strerror}")
        before = self._marks.get(agent)
        if before == marks:
            return False
        self._marks[agent] = marks
        current = self._served.get(agent)
        if before is not None and before[0] == marks[0] and current is None and self._is_aside(agent):
            return False
        try:
            served = self._load(agent, self._wanted.get(agent))
            problem = self._behind(agent, served)
        except CheckpointError as error:
            return self._note(agent, str(error))
        except Exception as error:  # of one agent, of any kind: the log has it, /ready names it, others are served
            logger.exception("%s cannot be taken up", agent)
            return self._note(agent, f"{agent} cannot be taken up: {type(error).__name__}")
        known = problem == self.problems.get(agent)
        same = before is not None and before[0] == marks[0] and served is current and known
        with self._lock:
            if same:
                self._served = {**self._served}  # who shows it shows the history too, which has changed
                return False
            rest = {name: other for name, other in self._served.items() if name != agent}
            self._served = {**rest, agent: served} if served is not None else rest
            self.problems = self._problems_with(agent, problem)
        return True

    def _behind(self, agent: str, served: ServedAgent | None) -> str | None:
        """Return what is wrong with a stage behind the one that answers, None for nothing: it is what a withdrawal leaves."""
        if served is None or self._wanted.get(agent) is not None:
            return None
        for stage in history.STAGES[history.STAGES.index(served.pointer.stage) + 1 :]:
            try:
                history.standing(self.store.root, agent, stage)
            except CheckpointError as error:
                return str(error)
        return None

    def _note(self, agent: str, problem: str) -> bool:
        """Keep what is wrong with an agent; return whether that is news."""
        news = self.problems.get(agent) != problem
        self.problems = self._problems_with(agent, problem)
        return news

    def _problems_with(self, agent: str, problem: str | None) -> dict[str, str]:
        """Return the problems with this one of an agent, or with none of it."""
        rest = {name: text for name, text in self.problems.items() if name != agent}
        return rest if problem is None else {**rest, agent: problem}

    def _is_aside(self, agent: str) -> bool:
        return self.problems.get(agent, "").startswith("set aside")

    def _find(self, agent: str) -> ServedAgent:
        known = self.store.resolve(agent)
        if known not in self._served and self._is_aside(known):
            raise CheckpointError(self.problems[known])
        return self._served.get(known) or self.load_agent_model(known)

    def _load(self, agent: str, stage: Stage | None) -> ServedAgent | None:
        """Return what stands on the stage, verified, or on the first that has something; None where nothing does."""
        for candidate in (stage,) if stage is not None else history.STAGES:
            pointer = history.standing(self.store.root, agent, candidate)
            if pointer is not None:
                current = self._served.get(agent)
                if current is not None and current.pointer == pointer:
                    folder = self.store.folder(agent, pointer.version)
                    read_verified(folder, manifest_sha256=pointer.manifest_sha256)
                    return current
                loaded = self.store.load_checkpoint(agent, pointer.version, manifest_sha256=pointer.manifest_sha256)
                recipe = loaded.metadata.recipe
                require_anchor(recipe.tilt, recipe.anchor_code, where=loaded.metadata.model_path)
                loaded.policy.check_probe()
                origin = origin_of(pointer, loaded.metadata)
                limits = AnswerLimits.of(loaded.metadata)
                return ServedAgent(pointer, loaded.policy, explain(loaded.policy), origin, limits)
        return None

    def _mark(self, agent: str) -> _Marks:
        """Return what changes whenever a stage of the agent changes hands."""
        return tuple(_state(history.pointer_path(self.store.root, agent, stage)) for stage in history.STAGES)

    def _rests_on(self, agent: str) -> _Marks:
        """Return what changes whenever the history grows or is damaged, or files of what answers come or go."""
        places = [self.store.root / history.HISTORY, self.store.root / agent]
        served = self._served.get(agent)
        if served is not None:
            folder = self.store.root / agent / served.pointer.version
            places += [folder, folder / MANIFEST]
        return tuple(_state(place) for place in places)


def _state(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
