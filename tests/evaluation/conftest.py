import pytest

from wealtharena.config import compose


@pytest.fixture(scope="session")
def spec():
    return compose(["asset=crypto", "asset.action=auto"])
