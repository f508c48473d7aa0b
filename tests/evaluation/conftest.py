import pytest

from tests.evaluation import worlds
from wealtharena.config import compose


@pytest.fixture(scope="session")
def spec():
    return compose(["asset=crypto", "asset.action=auto"])


@pytest.fixture(scope="session")
def evaluation(spec):
    return worlds.of_short_records(spec, draws=500)
