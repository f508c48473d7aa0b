"""What surrounds a run: tracking, evaluation rules, sweep, tasks, paths."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from wealtharena.config.specs.base import EACH_ONCE, Day, InWords, Names, Spec
from wealtharena.config.specs.baseline import BaselineName

MAX_TAG = 64  # letters; Weights & Biases refuses longer ones, and with them the whole run


class WandbSpec(Spec):
    """Weights & Biases; `auto` is what WANDB_MODE says, else online with a key or a login and offline without."""

    mode: Literal["auto", "online", "offline", "disabled"] = Field(description="whether and where figures go")
    project: str = Field(description="in which runs are filed")
    entity: str | None = Field(description="team or person whose project it is; null: whose key it is")
    group: str | None = Field(description="of a grid's or a search's runs")
    tags: tuple[str, ...] = Field(description="words that runs are found by")
    timeout_seconds: float = Field(gt=0, le=600, description="longest wait for its start, and for its end")
    code: bool = Field(description="keep the package's source with a run, Python and YAML only")
    registry: str | None = Field(
        description="task=deploy: link promoted versions there, such as wandb-registry-model/crypto"
    )

    @field_validator("tags")
    @classmethod
    def _short(cls, tags: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [tag for tag in tags if not 0 < len(tag) <= MAX_TAG]:
            raise ValueError(f"a tag has 1 to {MAX_TAG} letters, {wrong[0]!r} has {len(wrong[0])}")
        return tags


class TrackingSpec(Spec):
    """Where figures go while a run is under way."""

    wandb: WandbSpec
    console: Literal["auto", "rich", "plain", "quiet"] = Field(
        description="what is shown while a run is under way; auto: rich on a terminal, else plain"
    )
    report: bool = Field(description="write report.html and plots/")
    mirrors: Names = Field(description="further places for figures: files of wealtharena/tracking/mirrors")


class VerdictSpec(Spec):
    """Rules between a result and the words promotable, unproven and rejected."""

    confidence: float = Field(gt=0.5, lt=1, description="of the intervals that a rule looks at")
    min_dsr: float = Field(ge=0, le=1, description="deflated Sharpe ratio from which on a result is promotable")
    reject_dsr: float = Field(
        ge=0, le=1, description="a deflated Sharpe ratio below this is more likely luck than skill"
    )
    max_pbo: float = Field(
        ge=0, le=1, description="probability of backtest overfitting up to which a result is promotable"
    )
    max_drawdown: float = Field(lt=0, ge=-1, description="worst drawdown allowed, as a negative share")
    min_seeds: int = Field(ge=1, description="seeds of the same configuration from which on a result is promotable")
    min_years: float = Field(ge=0, description="years of the test record below which nothing is proven")
    min_bars: int = Field(ge=1, description="bars of the test record below which nothing is proven")
    min_trades: int = Field(ge=0, description="orders in the test window from which on a result is promotable")
    max_openings: int = Field(ge=1, description="looks at a test window after which it counts as seen")
    max_unfilled: float = Field(ge=0, le=1, description="share of the orders' value that may lapse or be cut")
    min_invested: float = Field(
        ge=0, le=1, description="share that a baseline bought once must hold to be compared with"
    )
    beats: Annotated[tuple[BaselineName, ...], EACH_ONCE] = Field(
        description="baselines; the lower bound of the Sharpe difference must lie above each"
    )
    allow_simulated: bool = Field(description="off except in studies of the rules themselves")
    allow_unadjusted_rolls: bool = Field(description="promote futures whose series jump at contract rolls")
    allow_hindsight: bool = Field(description="a universe whose members were chosen after the test window began")
    implausible: float = Field(gt=0, description="a net annual Sharpe ratio above this asks for a leak, not for money")
    require_audit: bool = Field(description="promote only what the look-ahead audit has passed")

    @field_validator("beats", mode="before")
    @classmethod
    def _one_is_a_list(cls, beats: object) -> object:
        """Take a single name for a list of one, as configurations from before have it."""
        return (beats,) if isinstance(beats, str) else beats

    @field_validator("beats")
    @classmethod
    def _one_at_least(cls, beats: tuple[str, ...]) -> tuple[str, ...]:
        if not beats:
            raise ValueError("must name at least one baseline")
        return beats


def _in_order(days: tuple[str, str]) -> tuple[str, str]:
    if days[0] > days[1]:
        raise ValueError("must be a first and a last date, in this order")
    return days


class StressSpec(Spec):
    """The test backtest under worse conditions."""

    cost_factors: Annotated[tuple[Annotated[float, Field(ge=0)], ...], EACH_ONCE] = Field(
        description="each cost times this, one backtest each"
    )
    delay_bars: int = Field(ge=0, description="orders are filled so many bars later; 0: not tried")
    windows: dict[str, Annotated[tuple[Day, Day], AfterValidator(_in_order)]] = Field(
        description="name -> first and last date"
    )
    drop_best_days: int = Field(ge=0, description="the best days of the record left out; 0: not tried")


class EvaluationSpec(Spec):
    """Baselines, bootstrap, verdict and stress."""

    baselines: Annotated[tuple[BaselineName, ...], EACH_ONCE] = Field(
        description="rules that are played beside the agent"
    )
    momentum_bars: int = Field(ge=1, description="of momentum: bars over which a return is looked at")
    lookback_bars: int = Field(ge=2, description="of inverse_volatility and minimum_variance")
    rebalance_bars: int = Field(ge=1, description="between two rebalancings of a baseline")
    random_seeds: int = Field(ge=1, le=1000, description="portfolios behind the mean and band of `random`")
    bootstrap_draws: int = Field(ge=100, description="resampled records behind an interval")
    cscv_blocks: int = Field(ge=4, le=20, multiple_of=2, description="S of CSCV; even")
    verdict: VerdictSpec
    stress: StressSpec


class PathsSpec(Spec):
    """Folders; relative ones are resolved against the directory the command was given in."""

    checkpoints: str = Field(min_length=1, description="the registry")
    results: str = Field(min_length=1, description="studies, and what outlives a run; the ledger stays where it is")
    ledger: str = Field(
        min_length=1, description="append-only record of every opening of a test window and every configuration tried"
    )


class TrainSpec(Spec):
    """How long training goes on, and what it keeps."""

    env_steps: int = Field(ge=1, description="length of the training")
    evaluations: int = Field(ge=1, description="validation backtests over a training")
    checkpoints: int = Field(ge=1, description="candidates kept")
    checkpoint_seconds: float = Field(gt=0, description="longest time between resume points")
    select_by: Literal["sharpe", "total_return", "calmar", "sortino"] = Field(
        description="measure on validation by which a candidate is better"
    )
    patience: int | None = Field(ge=1, description="evaluations without a better candidate before training stops")
    test: bool = Field(description="open the test window at the end, once; false trains and validates only")
    publish: bool = Field(description="copy the chosen checkpoint to the registry once the test window was opened")
    retrain: str | None = Field(description="agent id whose production configuration is trained again on newer data")
    warm_start: bool = Field(description="retrain: begin with the weights of what is in production")
    collect: bool = Field(description="bring the local store up to date first, where it is what the run reads")
    callbacks: Names = Field(description="of a user's own, as `module:attribute`; they watch a training")


class CollectSpec(Spec):
    """task=collect."""

    max_failed_share: float = Field(
        ge=0, le=1, description="symbols without bars up to which a collection counts as done"
    )
    overlap_bars: int = Field(ge=1, description="re-fetched on an update, to see whether history changed")
    compare_days: int = Field(ge=0, description="after which an update fetches and compares the whole history")
    refresh: bool = Field(description="fetch everything again, whatever is stored")
    give_up_after: int = Field(
        ge=1, description="symbols in a row without an answer after which a source is left alone"
    )


class BacktestSpec(Spec):
    """task=backtest."""

    checkpoints: Names = Field(description="checkpoint folders or run directories; several act as their mean")
    baseline: BaselineName | None = Field(description="a rule instead of a checkpoint")
    window: Literal["train", "validation", "test", "all"] = Field(
        description="of the split of the configuration; all: every bar"
    )
    start: str | None = Field(description="first date, instead of a window")
    end: str | None = Field(description="last date, instead of a window")


class CompareSpec(Spec):
    """task=compare."""

    runs: tuple[str, ...] = Field(description="run directories, multirun folders, or nothing for the registry")
    open: bool = Field(description="open the test window of those runs that were trained with it closed, once each")


class DeploySpec(Spec):
    """task=deploy."""

    agents: Names = Field(description="none named: all")
    checkpoints: Names = Field(
        description="version to promote; several become one, their mean; none takes each agent's best"
    )
    action: Literal["promote", "rollback", "withdraw", "list", "mend", "verify", "adopt"] = Field(
        description="what is done to the registry"
    )
    stage: Literal["production", "paper"] | None = Field(description="null: promote as the gate says, else production")
    force_reason: str | None = Field(description="puts an unproven checkpoint into production; recorded")
    keep: int | None = Field(
        ge=0, description="afterwards delete all but so many checkpoints an agent; null deletes none"
    )


class ServeSpec(Spec):
    """task=serve."""

    action: Literal["run", "create_key", "list_keys", "revoke_key"] = Field(
        description="run the service, or see to its keys"
    )
    host: str = Field(description="address that is listened on")
    port: int = Field(ge=0, le=65_535, description="0 takes a free one")
    workers: int = Field(ge=1, le=64, description="processes that answer")
    keys_file: str = Field(min_length=1, description="hashed API keys; without one the server binds loopback only")
    key_name: Annotated[str | None, InWords("1 to 64 of letters, digits, and . _ @ -, such as alice")] = Field(
        description="of the key to create or revoke", pattern=r"^[A-Za-z0-9._@-]{1,64}$"
    )
    rate_per_minute: int = Field(ge=1, description="requests a key; a minute's worth may come at once")
    connections_per_address: int = Field(
        ge=1, le=1024, description="open at once to one worker; a proxy is one address"
    )
    max_body_bytes: int = Field(ge=1024, description="largest request")
    max_batch: int = Field(ge=1, le=65_536, description="observations in one request")
    max_stale_bars: int = Field(ge=1, description="bars that may be missing at the end of a request's history")
    poll_seconds: float = Field(gt=0, le=60, description="between looks for promotions")
    shutdown_seconds: float = Field(gt=0, description="given to requests under way when the server is told to stop")
    audit_file: str | None = Field(description="one JSON line a request; null writes them to standard output")


class AuditSpec(Spec):
    """task=audit."""

    bars: int = Field(ge=1, description="points in time t that are tried")


class PaperSpec(Spec):
    """task=paper."""

    action: Literal["run", "status", "release", "restart", "pine"] = Field(
        description="trade, or see to an account: its status, its release from a halt, its restart; pine prints weights for TradingView"
    )
    agents: tuple[str, ...] = Field(
        description="several in one process: an asset each, with overrides of its own behind it"
    )
    stage: Literal["production", "paper"] | None = Field(
        description="version that is traded; null: production, else paper"
    )
    checkpoints: Names = Field(description="checkpoint folders or run directories; several act as their mean")
    account: Annotated[str, InWords("1 to 32 of letters, digits, - and _")] = Field(
        pattern=r"^[A-Za-z0-9_-]{1,32}$", description="name of the account"
    )
    root: str = Field(min_length=1, description="folder of the accounts")
    window: Literal["train", "validation", "test", "all"] = Field(
        description="replay: of the split of the configuration; all: every bar"
    )
    start: str | None = Field(description="replay: first date, instead of a window")
    end: str | None = Field(description="replay: last date, instead of a window")
    feed: Literal["replay", "live"] = Field(
        description="bars of the past, or those of the asset's own sources as they come"
    )
    bar_patience: float = Field(
        gt=0,
        le=86_400,
        description="seconds after a session's end that its bar is waited for, of an hour's 900 at most",
    )
    bar_poll: float = Field(gt=0, le=3600, description="seconds between two looks for a bar")
    speed: float | None = Field(gt=0, description="the bars' own time over real time; null as fast as it goes")
    history: Literal["all", "least"] = Field(description="bars behind each feature: all, or min_history_bars")
    synchronous: Literal["full", "normal"] = Field(description="what SQLite waits for before something is kept")
    strangers: Literal["halt", "adopt"] = Field(description="what is held at the broker and is none of our orders")
    resize: float = Field(ge=0, lt=1, description="an order that lacks money is made smaller by this share, once")
    monitor: bool = Field(description="compare returns, features and weights with what was promised and trained on")
    retrain: Literal["never", "calendar", "drift"] = Field(description="when a live account's agent is trained again")
    retrain_days: int = Field(ge=1, description="days between two retrainings, at least")
    alert_webhook_env: str | None = Field(
        description="environment variable that holds URLs of Slack, Discord and alike"
    )
    alert_apprise_env: str | None = Field(description="environment variable that holds URLs of apprise")
    reason: str | None = Field(description="of a release")
