from tests.data.market_stub.fixtures import make_spec, server, stub  # noqa: F401 - fixtures of the loopback services
