"""Where settings come from that a search has found."""

from __future__ import annotations

from datetime import date

from pydantic import Field

from wealtharena.config.specs.base import Spec


class ZooSpec(Spec):
    """The study behind a choice of `zoo`; all of it is empty where none was made."""

    study: str | None = Field(description="name of the study that found the settings; null: nobody's settings")
    found: date | None = Field(description="when it did")
    trials: int = Field(ge=0, description="configurations that it tried")
    env_steps: int | None = Field(ge=1, description="length of each training")
    source: str | None = Field(description="where its bars came from")
    dates: tuple[date, ...] = Field(max_length=2, description="first and last bar that it saw")
    score: float | None = Field(description="validation Sharpe ratio of the settings, median over fresh seeds")
    default: float | None = Field(description="that of the defaults over the same seeds and bars")

    def words(self, test_begins: date | None) -> str | None:
        """Return what a reader must know of the settings before believing a figure of theirs; None where there are none.

        `test_begins` is the first date of the test window at hand: a search that has seen later bars has seen into it.
        """
        if self.study is None or self.score is None or self.default is None or not self.dates:
            return None
        last = self.dates[-1]
        told = (
            f"The settings are those of study {self.study} ({self.found}): {self.trials} trials of {self.env_steps or 0:,} steps on bars of {self.source} up to "
            f"{last}; validation Sharpe ratio there {self.score:+.2f}, with the defaults {self.default:+.2f}. Nothing is claimed "
            "of a test window."
        )
        seen = None if test_begins is None else self.seen_into(test_begins)
        return told if seen is None else f"{told} The verdict counts that {seen}."

    def seen_into(self, test_begins: date) -> str | None:
        """Return that the search has seen bars of a test window that begins on this date, in words; None where it has not."""
        if self.study is None or not self.dates or self.dates[-1] < test_begins:
            return None
        return f"study {self.study} saw bars up to {self.dates[-1]}, and the window begins on {test_begins}"
