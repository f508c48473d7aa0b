"""Look-ahead audit: change the future, and see whether anything moves that must not know it.

Every check compares what is computed on the whole panel with what is computed when the bars after t are cut off or
replaced by noise. What is audited is passed in (`Subject`), so that a planted leak can be audited too. What no change of
the future shows, a source that leaks, is looked for by correlation (`foreknowledge`).
"""

from wealtharena.evaluation.audit.audit import POINTS, audit, require_bars
from wealtharena.evaluation.audit.findings import AuditReport, Check, Finding
from wealtharena.evaluation.audit.subject import Subject, play

__all__ = ["POINTS", "AuditReport", "Check", "Finding", "Subject", "audit", "play", "require_bars"]
