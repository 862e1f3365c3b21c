"""Keeps a conversation where its prompt is cached: for a while, and only where reading from the cache costs less."""

import json
from hashlib import sha256

from bridge.call_record import CallContext
from bridge.catalog.aliases import Route
from bridge.chat import ChatRequest
from bridge.decision import Decision
from bridge.state_store import StateStore


class Affinity:
    """Bindings of conversations to deployments. Shared by processes when the store is."""

    def __init__(self, store: StateStore) -> None:
        self._store = store

    async def find(self, route: Route, request: ChatRequest, context: CallContext) -> str | None:
        """The deployment that the conversation is bound to."""
        if route.rules is None or route.rules.affinity is None:
            return None
        return await self._store.get(_key(route, request, context))

    async def bind(
        self, route: Route, request: ChatRequest, context: CallContext, decision: Decision, deployment: str
    ) -> None:
        """Bind the conversation to who answered it, where a cached prompt is cheaper to read there."""
        rules, question = route.rules, decision.question
        if rules is None or rules.affinity is None or question is None:
            return
        if any(one.deployment == deployment and one.is_cheaper_when_cached for one in question.offers):
            await self._store.set(_key(route, request, context), deployment, ttl_s=rules.affinity.ttl_s)


def conversation_of(request: ChatRequest, context: CallContext) -> str:
    """What the calls of one conversation have in common: its name, else a hash of how it begins.

    The beginning is everything up to and including the first message of the user, which later turns repeat.
    """
    if context.conversation is not None:
        return context.conversation
    digest = sha256()
    for message in request.messages:
        digest.update(json.dumps([message.role, message.text]).encode())
        if message.role == "user":
            break
    return digest.hexdigest()


def _key(route: Route, request: ChatRequest, context: CallContext) -> str:
    conversation = sha256(conversation_of(request, context).encode("utf-8", "replace")).hexdigest()
    return f"affinity:{context.org_id}:{route.requested}:{conversation}"
