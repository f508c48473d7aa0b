"""The tables of a ledger, by version: a step is never changed, the next one is added."""

from __future__ import annotations

from typing import Final

from wealtharena.trading import closes, outbox

STEPS: Final = (
    (
        """CREATE TABLE accounts (epoch INTEGER PRIMARY KEY, agent TEXT NOT NULL, account TEXT NOT NULL,
           opened_at TEXT NOT NULL, facts TEXT NOT NULL)""",
        """CREATE TABLE states (id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL REFERENCES accounts, bar TEXT,
           state TEXT NOT NULL, reason TEXT NOT NULL, at TEXT NOT NULL)""",
        """CREATE TABLE decisions (epoch INTEGER NOT NULL REFERENCES accounts, bar TEXT NOT NULL, at TEXT NOT NULL,
           seen TEXT NOT NULL, weights TEXT, memory TEXT NOT NULL, unknown INTEGER NOT NULL, sent INTEGER NOT NULL,
           PRIMARY KEY (epoch, bar))""",
        """CREATE TABLE intents (client_id TEXT PRIMARY KEY, epoch INTEGER NOT NULL, bar TEXT NOT NULL,
           symbol TEXT NOT NULL, leg INTEGER NOT NULL, attempt INTEGER NOT NULL, units REAL NOT NULL,
           status TEXT NOT NULL, note TEXT NOT NULL, UNIQUE (epoch, bar, symbol, leg, attempt),
           FOREIGN KEY (epoch, bar) REFERENCES decisions)""",
        "CREATE INDEX intents_by_status ON intents (epoch, status)",
        """CREATE TABLE fills (execution_id TEXT NOT NULL, epoch INTEGER NOT NULL REFERENCES accounts,
           sequence INTEGER NOT NULL, client_id TEXT, bar TEXT NOT NULL, symbol TEXT NOT NULL, units REAL NOT NULL,
           price REAL NOT NULL, quote REAL NOT NULL, cost REAL NOT NULL, PRIMARY KEY (epoch, execution_id))""",
        "CREATE INDEX fills_by_sequence ON fills (epoch, sequence)",
        """CREATE TABLE positions (epoch INTEGER NOT NULL REFERENCES accounts, symbol TEXT NOT NULL,
           units REAL NOT NULL, PRIMARY KEY (epoch, symbol))""",
        """CREATE TABLE closes (epoch INTEGER NOT NULL REFERENCES accounts, bar TEXT NOT NULL, equity REAL NOT NULL,
           cash REAL NOT NULL, traded REAL NOT NULL, costs REAL NOT NULL, financing REAL NOT NULL,
           dividends REAL NOT NULL, positions TEXT NOT NULL, marks TEXT NOT NULL, PRIMARY KEY (epoch, bar))""",
        """CREATE TABLE interventions (id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL REFERENCES accounts,
           bar TEXT NOT NULL, rule TEXT NOT NULL, action TEXT NOT NULL, symbols TEXT NOT NULL, numbers TEXT NOT NULL)""",
    ),
    (
        "ALTER TABLE intents ADD COLUMN filled REAL NOT NULL DEFAULT 0.0",
        "ALTER TABLE fills ADD COLUMN reference REAL",
        """CREATE TABLE events (event_id TEXT NOT NULL, epoch INTEGER NOT NULL REFERENCES accounts,
           sequence INTEGER NOT NULL, bar TEXT NOT NULL, kind TEXT NOT NULL, symbol TEXT NOT NULL, units REAL NOT NULL,
           cash REAL NOT NULL, PRIMARY KEY (epoch, event_id))""",
        """CREATE TABLE notes (epoch INTEGER NOT NULL REFERENCES accounts, name TEXT NOT NULL, value TEXT NOT NULL,
           PRIMARY KEY (epoch, name))""",
    ),
    outbox.STEPS,
    closes.STEPS,
    ("ALTER TABLE intents ADD COLUMN rounding INTEGER NOT NULL DEFAULT 0",),
)
