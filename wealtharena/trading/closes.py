"""An account at its closes, and what it is measured by: money that came or went is neither a profit nor a loss.

Each close keeps the `flow` up to it and the `scale` of it: by what every amount of before has to be multiplied to stand in
the money of this close. A flow counts at the end of its bar, so that equity over scale grows by the time-weighted return.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any, Final

from wealtharena.trading.broker import Account

STEPS: Final = (
    "ALTER TABLE closes ADD COLUMN flow REAL NOT NULL DEFAULT 0.0",
    "ALTER TABLE closes ADD COLUMN scale REAL NOT NULL DEFAULT 1.0",
    "ALTER TABLE closes ADD COLUMN told REAL",
)
RELEASED: Final = "released"  # a note: the bar after which a person let the account trade again
_COLUMNS: Final = ("equity", "cash", "traded", "costs", "financing", "dividends", "flow", "told")


class Closes:
    """The part of a ledger that holds the account at each close."""

    epoch: int
    _db: sqlite3.Connection

    def _close(self, account: Account, held: Mapping[str, float], marks: Mapping[str, float]) -> None:
        numbers = [getattr(account, name) for name in _COLUMNS]
        self._db.execute(
            f"""INSERT OR REPLACE INTO closes (epoch, bar, {", ".join(_COLUMNS)}, scale, positions, marks)
                VALUES (?, ?, {", ".join("?" * len(_COLUMNS))}, ?, ?, ?)""",
            (self.epoch, account.bar, *numbers, self.scale_of(account), json.dumps(held), json.dumps(marks)),
        )

    def scale_of(self, account: Account) -> float:
        """Return the scale of a close, also before it is written; one of an account that was empty goes on with the growth that it had."""
        before, kept = self._before(account.bar), account.equity - account.flow
        scale = 1.0 if before is None else float(before["scale"])
        if before is None or account.flow == 0.0:
            return scale
        if account.equity > 0.0 and kept > 0.0:
            return scale * account.equity / kept
        row = self._db.execute(
            "SELECT equity / scale AS worth FROM closes WHERE epoch = ? AND bar < ? AND equity > 0 ORDER BY bar DESC LIMIT 1",
            (self.epoch, account.bar),
        ).fetchone()
        return scale if row is None or account.equity <= 0.0 else account.equity / float(row["worth"])

    def released(self) -> str | None:
        """Return the last bar that was decided on before a person released the account; None where nobody has."""
        row = self._db.execute(
            "SELECT value FROM notes WHERE epoch = ? AND name = ?", (self.epoch, RELEASED)
        ).fetchone()
        return None if row is None else str(row["value"])

    def peak(self, *, scale: float = 1.0) -> float:
        """Return the highest equity at a close since a release, in the money of a close of that scale; 0 before the first."""
        row = self._db.execute(
            """SELECT max(equity / scale) AS peak FROM closes WHERE epoch = ? AND bar >= coalesce(
               (SELECT max(bar) FROM closes WHERE epoch = ? AND bar <= ?), '')""",
            (self.epoch, self.epoch, self.released() or ""),
        )
        return float(row.fetchone()["peak"] or 0.0) * scale

    def opening(self, day: str) -> float | None:
        """Return the equity at the last close before this day, a date, or before a release on it; None where there is none.

        It is in the money of the last close.
        """
        released = self.released() or ""
        before = self._before(max(day, f"{released}~" if released else ""))  # the close of the release counts
        last = self._before("~")
        if before is None or last is None:
            return None
        return float(before["equity"]) / float(before["scale"]) * float(last["scale"])

    def _before(self, bar: str) -> sqlite3.Row | None:
        """Return bar, equity and scale of the last close before a bar or a date: what is asked for at every close."""
        found: sqlite3.Row | None = self._db.execute(
            "SELECT bar, equity, scale FROM closes WHERE epoch = ? AND bar < ? ORDER BY bar DESC LIMIT 1",
            (self.epoch, bar),
        ).fetchone()
        return found

    def last_bar(self, *, before: str) -> str:
        """Return the bar of the last close before this one; nothing where there is none."""
        found = self._before(before)
        return "" if found is None else str(found["bar"])

    def close_before(self, bar: str) -> dict[str, Any] | None:
        """Return the account at the last close before a bar or a date; None where there is none."""
        found = self._closes("AND bar < ? ORDER BY bar DESC LIMIT 1", bar)
        return found[0] if found else None

    def last_close(self) -> dict[str, Any] | None:
        """Return the account at the last close; None before the first."""
        found = self._closes("ORDER BY bar DESC LIMIT 1")
        return found[0] if found else None

    def closes(self, *, before: str | None = None, newest: int | None = None) -> list[dict[str, Any]]:
        """Return the account at every close, oldest first; so many of those before a bar, newest first."""
        if before is None:
            return self._closes("ORDER BY bar")
        return self._closes("AND bar < ? ORDER BY bar DESC LIMIT ?", before, newest or -1)

    def _closes(self, which: str, *values: str | int) -> list[dict[str, Any]]:
        rows = self._db.execute(f"SELECT * FROM closes WHERE epoch = ? {which}", (self.epoch, *values))
        return [
            {**dict(row), "positions": json.loads(row["positions"]), "marks": json.loads(row["marks"])} for row in rows
        ]
