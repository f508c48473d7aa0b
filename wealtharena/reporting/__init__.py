"""Plots, the report and the leaderboard: what a person looks at."""

import logging

# matplotlib says where it keeps fonts for a user who has no home to write to; of its own line alone, not of those of its modules
logging.getLogger("matplotlib").addFilter(
    lambda record: not any(word in record.msg for word in ("cache", "mkdir", "writable"))
)
