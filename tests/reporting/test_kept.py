import dataclasses

import pytest

from tests.reporting.made_up import report_data
from wealtharena.reporting import head


@pytest.mark.parametrize(
    ("share", "anchors", "words"),
    [
        (0.83, ["anchor"], "as much as the validation proved"),
        (0.0, ["anchor"], "so the agent is its anchor."),
        (0.0, [], "so the agent stays in cash."),
    ],
)
def test_how_much_of_what_was_learned_is_kept_stands_on_the_first_screen(
    share: float, anchors: list[str], words: str
) -> None:
    made = report_data()
    against = {**made.run["comparison"], **{key: {} for key in anchors}}
    made = dataclasses.replace(made, run={**made.run, "comparison": against})
    checkpoint = {**(made.run.get("checkpoint") or {}), "kept_share": share}
    shown = head.first_screen(dataclasses.replace(made, run={**made.run, "checkpoint": checkpoint}))
    assert f'data-metric="checkpoint.kept_share" value="{share!r}"' in shown
    assert words in shown
    assert "Lambda" not in head.first_screen(made)
