"""The page names each case's tests as they are."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_test_that_the_page_names_for_a_case_exists_and_no_other_has_a_number():
    page = (ROOT / "docs" / "trading.md").read_text()
    rows = re.findall(r"^\| (\d+) \| [^|]+ \| ([^|]+) \|$", page.split("## Cases")[1], re.M)
    assert [int(number) for number, _ in rows] == sorted({int(number) for number, _ in rows})
    named = {test: int(number) for number, tests in rows for test in re.findall(r"`(test_\w+)`", tests)}
    written = {
        test
        for path in (ROOT / "tests").rglob("test_*.py")
        for test in re.findall(r"^def (test_\w+)", path.read_text(), re.M)
    }
    assert set(named) <= written
    numbered = {test: int(found[1]) for test in written if (found := re.match(r"test_case_(\d\d)_", test))}
    assert {test: number for test, number in named.items() if test in numbered} == numbered
