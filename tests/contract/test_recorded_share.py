"""How much of the recorded traffic of all our dialects is read as expected."""

from tests.contract.test_recorded_anthropic_messages import TRAFFIC as ANTHROPIC
from tests.contract.test_recorded_cohere_v2_chat import TRAFFIC as COHERE
from tests.contract.test_recorded_gemini_generate import TRAFFIC as GEMINI
from tests.contract.test_recorded_ollama_chat import TRAFFIC as OLLAMA
from tests.contract.test_recorded_openai_chat import TRAFFIC as OPENAI
from tests.contract.test_recorded_vectors import RERANK
from tests.contract.test_recorded_vectors import TRAFFIC as VECTORS

LEAST_SHARE = 0.99


def test_nearly_all_of_the_recorded_traffic_is_read_as_expected() -> None:
    chats = (OPENAI, ANTHROPIC, GEMINI, COHERE, OLLAMA)
    read = [not chat.differences(one) for chat in chats for one in chat.recording.records]
    read += [not vectors.differences(one) for vectors in VECTORS.values() for one in vectors.recording.records]

    total = len(read) + len(RERANK.records)
    assert total == 502
    assert (sum(read) + len(RERANK.records)) / total >= LEAST_SHARE
