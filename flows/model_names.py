"""Model names and prices for validation, answered by the bridge."""

from bridge.gateway import Bridge
from nodes.node import ModelUse

BYTES_PER_TOKEN = 4
"""For predictions only; bounds count a byte as a token."""


class BridgeModelNames:
    """Implements `flows.validate.ModelNames`. `max_tries` is how often the bridge may try one call."""

    def __init__(self, bridge: Bridge, *, max_tries: int = 1) -> None:
        self._bridge = bridge
        self._max_tries = max_tries

    def knows(self, name: str) -> bool:
        return self._bridge.knows(name)

    def suggest(self, name: str) -> str | None:
        return self._bridge.suggest(name)

    def worst_case_nano_usd(self, use: ModelUse) -> int | None:
        if not self.knows(use.model):
            return None
        one = self._bridge.worst_case_nano_usd(
            use.model, max_input_bytes=use.max_input_bytes, max_output_tokens=use.max_output_tokens
        )
        return None if one is None else one * use.calls * self._max_tries

    def expected_nano_usd(self, use: ModelUse) -> int | None:
        """Half of the output limit, at the model the router would choose now."""
        if not self.knows(use.model):
            return None
        one = self._bridge.expected_nano_usd(
            use.model,
            input_tokens=use.max_input_bytes // BYTES_PER_TOKEN,
            output_tokens=use.max_output_tokens // 2,
        )
        return None if one is None else one * use.calls
