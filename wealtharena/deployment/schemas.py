"""What the REST service takes and gives, as the OpenAPI document shows it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, FailFast, Field, FiniteFloat, model_validator

Text = Annotated[str, Field(max_length=64)]
MAX_BARS = 100_000


class _FirstFault(FailFast):
    """Ends a list's validation at its first fault; hashable, as a type's annotation has to be."""

    def __hash__(self) -> int:
        return hash(self.fail_fast)


FIRST_FAULT = _FirstFault()
Numbers = Annotated[list[FiniteFloat], FIRST_FAULT]
Features = Annotated[list[Annotated[list[Numbers], FIRST_FAULT]], FIRST_FAULT]


class Strict(BaseModel):
    """A request's part: unknown keys, NaN, infinity and numbers in quotes are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)


class Bar(Strict):
    """One bar of one symbol; a daily bar carries its trade date. Prices are split-adjusted."""

    timestamp: Annotated[datetime, Field(strict=False)]
    symbol: Text
    open: FiniteFloat | None = None
    high: FiniteFloat | None = None
    low: FiniteFloat | None = None
    close: FiniteFloat
    volume: FiniteFloat | None = Field(default=None, ge=0)


class PortfolioBody(Strict):
    """What is held: weights by symbol as shares of equity. Absent numbers are derived from the weights."""

    weights: dict[Text, FiniteFloat] = Field(default_factory=dict, max_length=1000)
    cash: FiniteFloat | None = Field(default=None, description="cash over equity; default 1 less the sum of weights")
    drawdown: FiniteFloat = Field(default=0.0, ge=-1, le=0, description="equity over its highest, less 1")
    leverage: FiniteFloat | None = Field(
        default=None, ge=0, description="gross value over equity; default the sum of the weights' sizes"
    )


class _Seen(Strict):
    """What one decision is made from."""

    features: Features | None = Field(default=None, max_length=1000)
    bars: Annotated[list[Bar], FIRST_FAULT] | None = Field(default=None, min_length=1, max_length=MAX_BARS)
    portfolio: PortfolioBody | None = Field(
        default=None, description="absent: an empty one is assumed, and the answer says so"
    )
    state: dict[Text, Numbers] | None = Field(
        default=None,
        max_length=16,
        description="of the last answer, for an agent with memory; another version's means nothing to it",
    )


class Observation(_Seen):
    """One decision to make: either raw `features` [symbols][window][features], oldest bar first, or recent `bars`."""

    @model_validator(mode="after")
    def _one_source(self) -> Observation:
        if (self.features is None) == (self.bars is None):
            raise ValueError("give either features or bars")
        return self


class PredictBody(_Seen):
    """A request for target weights: one observation, or several as `batch`."""

    batch: Annotated[list[Observation], FIRST_FAULT] | None = Field(
        default=None, min_length=1, description="several observations, instead of the fields above"
    )
    version: str | None = Field(
        default=None, max_length=128, description="that gave `state`, or is meant; refused where another answers since"
    )

    @model_validator(mode="after")
    def _one_source(self) -> PredictBody:
        given = sum(value is not None for value in (self.features, self.bars, self.batch))
        if given != 1:
            raise ValueError("give exactly one of features, bars and batch")
        if self.batch is not None and (self.portfolio is not None or self.state is not None):
            raise ValueError("in a batch, portfolio and state stand beside each observation")
        return self


class Answer(BaseModel):
    """Target weights for one observation."""

    weights: dict[str, float] = Field(description="share of equity by symbol, after projection onto the agent's limits")
    cash: float
    spread: float | None = Field(description="an ensemble's: how far its members are apart, in weight; else null")
    flat_portfolio_assumed: bool
    as_of: str | None = Field(description="last bar, where bars were given")
    notes: list[str] = Field(
        description="what was repaired or left out of the bars, as a backtest would, and what in the portfolio does not add up"
    )
    state: dict[str, list[float]] = Field(
        description="hand it back with the next bar, and `version` with it; empty for an agent without memory"
    )


class PredictAnswer(BaseModel):
    """Answers in the order of the request, all of one version."""

    agent: str
    version: str
    stage: str
    verdict: str
    simulated: bool
    predictions: list[Answer]


class Serving(BaseModel):
    """What answers for an agent."""

    version: str
    stage: str
    verdict: str
    simulated: bool
    since: str
    forced_reason: str | None


class AgentRow(BaseModel):
    """One agent in the list."""

    agent: str
    asset: str | None
    production: str | None = Field(description="version in production")
    paper: str | None = Field(description="version on paper")
    serving: Serving | None
    problem: str | None = Field(
        description="why what stands on its stages cannot be loaded; what was goes on answering"
    )


class AgentList(BaseModel):
    """All agents."""

    agents: list[AgentRow]


class SignalBody(BaseModel):
    """One signal at the last recorded bar; `effect` is what the symbol's weight owes to it."""

    feature: str
    value: float
    score: float = Field(description="in standard deviations of training")
    effect: float


class HoldingBody(BaseModel):
    """A symbol's weight at the last recorded bar, and its most telling signals."""

    symbol: str
    weight: float
    signals: list[SignalBody]


class AgentDetail(BaseModel):
    """One agent: what it takes, what it holds and why, what it achieved."""

    agent: str
    asset: str
    algo: str
    members: list[str] = Field(description="versions that an ensemble is the mean of; else empty")
    serving: Serving
    symbols: list[str]
    features: list[str]
    window: int
    min_history_bars: int
    frequency: str
    states: dict[str, list[int]] = Field(description="numbers carried from answer to answer, by name")
    data: dict[str, Any]
    config_hash: str
    verdict_reasons: list[str]
    metrics: dict[str, Any] = Field(description="of the test window, after costs")
    baselines: dict[str, Any]
    comparison: dict[str, Any]
    recorded_at: str | None
    holdings: list[HoldingBody]
    cash: float


class Problem(BaseModel):
    """One thing that is wrong with a request."""

    field: str
    message: str


class ErrorBody(BaseModel):
    """Every error: a code, a sentence, and, where a field is wrong, its name."""

    code: str
    message: str
    request_id: str
    problems: list[Problem] = Field(default_factory=list)


class Health(BaseModel):
    """The process lives."""

    status: str


class Ready(BaseModel):
    """Agents are loaded and answering; which, is told with a key."""

    status: str
    watched_seconds_ago: float = Field(description="since promotions, withdrawals and revoked keys were last taken up")
    agents: dict[str, str] | None = Field(description="agent -> version; null without a key")
    problems: dict[str, str] | None = Field(
        description="agent -> why what stands on its stages cannot be loaded; null without a key"
    )


class KillBody(Strict):
    """What a kill switch is to do: `freeze` sends nothing more, `flatten` closes everything."""

    command: Literal["freeze", "flatten"]


class KillAnswer(BaseModel):
    """The switch that was thrown."""

    agent: str
    account: str
    command: Literal["freeze", "flatten"]


class AccountAnswer(BaseModel):
    """An account as it stood at its last close. Money is in its currency."""

    agent: str
    account: str
    epoch: int
    broker: str | None
    live: bool = Field(description="whether real money is at stake")
    version: str | None
    checkpoints: list[str] = Field(description="names of those that trade in place of a promoted version")
    standing: str | None = Field(
        description="what became of the version in the registry since the account was opened; null where nothing did"
    )
    currency: str
    state: str = Field(description="trading, reducing or halted")
    reason: str
    kill_switch: str | None = Field(description="what a thrown kill switch asks for, while its file is there")
    bars: int
    bar: str | None
    equity: float
    cash: float
    drawdown: float
    total_return: float
    flows: float = Field(description="deposits less withdrawals since the opening; neither is profit or loss")
    positions: list[dict[str, Any]] = Field(description="at the last close; a value is null where no price is known")
    held: dict[str, float] = Field(description="units by symbol, with what was executed since the last close")
    orders: list[dict[str, Any]] = Field(description="newest first, without those of less than a millionth of equity")
    interventions: list[dict[str, Any]] = Field(description="newest first")


class AccountList(BaseModel):
    """Every account that is traded here."""

    accounts: list[AccountAnswer]
    unreadable: list[str] = Field(description="agent/account of those whose ledger cannot be read: they are not above")
