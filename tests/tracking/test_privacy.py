from __future__ import annotations

import pytest

from wealtharena.tracking.privacy import without_paths


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("/home/ada/data/crypto.parquet", "crypto.parquet"),
        ("~/secret/notes.txt", "notes.txt"),
        ("C:\\Users\\ada\\bars.csv", "bars.csv"),
        ("python run.py data.path=/home/ada/x.parquet seed=1", "python run.py data.path=x.parquet seed=1"),
        ("data/processed", "data/processed"),
        ("BTC-USD 24/7", "BTC-USD 24/7"),
        ("https://user:key@host.example/a?apikey=1", "https://host.example"),
        ("ray://10.0.0.1:10001", "ray://10.0.0.1"),
        ("log_return", "log_return"),
    ],
)
def test_absolute_paths_and_keys_are_taken_out(text: str, kept: str) -> None:
    assert without_paths(text) == kept


def test_mappings_and_lists_are_gone_through_and_numbers_kept() -> None:
    found = without_paths({"a": ["/x/y/z", 1, None], "b": {"c": "/x/y"}, "d": 0.5})
    assert found == {"a": ["z", 1, None], "b": {"c": "y"}, "d": 0.5}
