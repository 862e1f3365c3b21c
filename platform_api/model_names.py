"""What flow validation must know of models, answered by the bridge."""

from bridge.errors import BridgeError
from bridge.gateway import Bridge
from nodes.node import ModelUse

BYTES_PER_TOKEN = 4


class BridgeNames:
    """`flows.validate.ModelNames` over a bridge. `tries` is how often the bridge may pay for one call."""

    def __init__(self, bridge: Bridge, *, tries: int) -> None:
        self._bridge = bridge
        self._tries = tries

    def knows(self, name: str) -> bool:
        return self._bridge.knows(name)

    def suggest(self, name: str) -> str | None:
        return self._bridge.suggest(name)

    def worst_case_nano_usd(self, use: ModelUse) -> int | None:
        try:
            bound = self._bridge.worst_case_nano_usd(
                use.model, max_input_bytes=use.max_input_bytes, max_output_tokens=use.max_output_tokens
            )
        except BridgeError:  # an unknown name is reported where it stands
            return None
        return None if bound is None else bound * use.calls * self._tries

    def expected_nano_usd(self, use: ModelUse) -> int | None:
        try:
            expected = self._bridge.expected_nano_usd(
                use.model,
                input_tokens=use.max_input_bytes // BYTES_PER_TOKEN,
                output_tokens=use.max_output_tokens,
            )
        except BridgeError:
            return None
        return None if expected is None else expected * use.calls
