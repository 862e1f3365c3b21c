"""The transports a configuration asks for: HTTP for vendors, in-process ones for the local model and the mock."""

from bridge.catalog.deployments import is_mock, resolved_dialect
from bridge.catalog.known_providers import LOCAL
from bridge.clock import Clock
from bridge.config import BridgeConfig
from bridge.transport import HttpTransport, Transport


def default_transports(config: BridgeConfig, clock: Clock) -> dict[str, Transport]:
    """By provider name; `http` serves every provider without one of its own. Nothing is started yet.

    Raises:
        ConfigurationError: The options of `local` or `mock` are invalid.
    """
    made: dict[str, Transport] = {"http": HttpTransport()}
    local = config.providers.get(LOCAL)
    if local is not None and local.base_url is None:
        from bridge.providers.local_llama import LocalTransport

        made[LOCAL] = LocalTransport(local.options)
    for name, provider in config.providers.items():
        if is_mock(name, provider):
            from bridge.providers.mock import MockTransport

            made[name] = MockTransport(provider.options, clock=clock, dialect=resolved_dialect(name, provider))
    return made
