"""The front door for files: whatever a CSV or Parquet file looks like, one settled table of bars a symbol.

`read_path` reads, `split_symbols` takes a table at hand; both return a `Reading` that says what was settled.
"""

from wealtharena.data.reading.files import read_path, split_symbols
from wealtharena.data.reading.settled import Reading, Settled

__all__ = ["Reading", "Settled", "read_path", "split_symbols"]
