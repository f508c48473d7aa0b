"""`pytest -p tests.backwards`: every test in the reverse of its order, to find those that lean on one before them."""

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.reverse()
