"""An answer of Alpaca that comes byte by byte, without an end, is none once the time for one request is over."""

import time

import pytest

from tests.data.test_manners import Dripping, serve  # noqa: F401 - a fixture is found by its name
from wealtharena.trading.alpaca.client import Client
from wealtharena.trading.broker import UnreachableError
from wealtharena.trading.locks import Keys


class Quick(Dripping):
    """Answers one request at once, and drips the next on the same connection."""

    def handle(self):
        self.request.recv(4096)
        self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
        super().handle()


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Dripping, Quick])
@pytest.mark.parametrize("rest", [b"", b"Content-Length: 60\r\n\r\n", b"Connection: close\r\n\r\n12"])
def test_an_answer_that_drips_ends_with_the_time_for_it(serve, kind, rest):  # noqa: F811 - the fixture
    url = serve(type("Handler", (kind,), {"head": Dripping.head + rest}))
    client = Client(
        Keys("key", "secret"), url, timeout_seconds=0.25, attempts=1, backoff_seconds=0.0, wait=lambda seconds: None
    )
    if kind is Quick:
        assert client.get("/positions", list) == []
    begun = time.monotonic()
    with pytest.raises(UnreachableError):
        client.get("/account", lambda answer: answer)
    assert time.monotonic() - begun < 2
    client.close()
