"""/v1: a pure ASGI app in front of FastAPI. One body parse, no middleware of a framework, no database while a key is
fresh, errors in the shape that the SDK of each dialect reads.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from bridge.call_record import CallRecord
from bridge.errors import BridgeError
from platform_api.errors import ApiError, Problem, to_problem
from platform_api.llm.anthropic_errors import AnthropicErrors
from platform_api.llm.anthropic_messages import AnthropicMessages, count_tokens
from platform_api.llm.call_headers import facts_of
from platform_api.llm.chat_endpoint import ChatEndpoint
from platform_api.llm.client_dialect import ChatDialect, ErrorDialect, InvalidRequestError
from platform_api.llm.client_request import ClientGoneError, ClientRequest
from platform_api.llm.embeddings_endpoint import embeddings
from platform_api.llm.models_endpoint import ANTHROPIC_VERSION, list_models
from platform_api.llm.openai_chat import OpenAIChat
from platform_api.llm.openai_errors import OpenAIErrors
from platform_api.llm.openai_responses import OpenAIResponses
from platform_api.llm.plane_parts import PlaneParts
from platform_api.problem_responses import unexpected

MODELS = "/v1/models"
Answer = Callable[[ClientRequest, PlaneParts], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What answers at a path."""

    method: str
    dialect: ErrorDialect | None
    """None: whichever the client speaks."""
    answer: Answer


def _chat(dialect: ChatDialect) -> Endpoint:
    return Endpoint("POST", dialect, ChatEndpoint(dialect))


ENDPOINTS: Mapping[str, Endpoint] = {
    "/v1/chat/completions": _chat(OpenAIChat()),
    "/v1/responses": _chat(OpenAIResponses()),
    "/v1/embeddings": Endpoint("POST", OpenAIErrors(), embeddings),
    "/v1/messages": _chat(AnthropicMessages()),
    "/v1/messages/count_tokens": Endpoint("POST", AnthropicErrors(), count_tokens),
    MODELS: Endpoint("GET", None, list_models),
}
_OPENAI, _ANTHROPIC = OpenAIErrors(), AnthropicErrors()


class DataPlane:
    """An ASGI app for HTTP requests under /v1."""

    def __init__(self, *, parts: Callable[[], PlaneParts]) -> None:
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = ClientRequest(scope, receive, send)
        path = MODELS if request.path.startswith(MODELS + "/") else request.path
        endpoint = ENDPOINTS.get(path)
        if endpoint is None:
            dialect = _spoken(request)
            await request.refuse(dialect, Problem(404, "unknown_url", f"there is nothing at {request.path}"))
            return
        scope["route_template"] = path
        await self._answer(request, endpoint, endpoint.dialect or _spoken(request))

    async def _answer(self, request: ClientRequest, endpoint: Endpoint, dialect: ErrorDialect) -> None:
        request.dialect = dialect
        try:
            if request.method != endpoint.method:
                said = f"{request.method} is not for {request.path}"
                allow = {"allow": endpoint.method}
                await request.refuse(dialect, Problem(405, "method_not_allowed", said, headers=allow))
                return
            await endpoint.answer(request, self._parts())
        except ClientGoneError:
            return
        except InvalidRequestError as error:
            await request.refuse(dialect, Problem(400, "invalid_request", str(error)), param=error.param)
        except (ApiError, BridgeError) as error:
            call = getattr(error, "call", None)
            facts = facts_of(call, request.elapsed_ms()) if isinstance(call, CallRecord) else None
            await request.refuse(dialect, to_problem(error), facts=facts)
        except Exception as error:  # noqa: BLE001  # the HTTP boundary: logged once, answered in the dialect's shape
            await request.refuse(dialect, unexpected(error))


def _spoken(request: ClientRequest) -> ErrorDialect:
    return _OPENAI if request.header(ANTHROPIC_VERSION) is None else _ANTHROPIC
