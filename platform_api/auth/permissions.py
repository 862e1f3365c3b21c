"""RBAC: what may be done, by which role, and which of it an API key can carry."""

from collections.abc import Iterable
from typing import Literal

Role = Literal["Owner", "Admin", "Member", "Viewer"]

OWNER, ADMIN, MEMBER, VIEWER = "Owner", "Admin", "Member", "Viewer"

_READ = (
    "flow:read", "run:read", "schedule:read", "call:read", "usage:read", "budget:read", "model:read", "routing:read",
    "dataset:read", "evaluation:read", "key:read", "org:read", "member:read", "monitoring:read",
)  # fmt: skip
_WORK = (
    "flow:write", "flow:publish", "flow:run", "run:cancel", "run:approve", "schedule:write", "llm:call",
    "dataset:write", "evaluation:write", "key:write", "secret:read",
)  # fmt: skip
_ADMINISTER = (
    "budget:write", "routing:write", "connection:read", "connection:write", "member:write", "org:write",
    "monitoring:write", "audit:read", "billing:read", "secret:write",
)  # fmt: skip
_OWN = ("billing:write", "org:delete", "member:make_owner")

ROLES: dict[str, frozenset[str]] = {
    VIEWER: frozenset(_READ),
    MEMBER: frozenset(_READ + _WORK),
    ADMIN: frozenset(_READ + _WORK + _ADMINISTER),
    OWNER: frozenset(_READ + _WORK + _ADMINISTER + _OWN),
}
PERMISSIONS: frozenset[str] = ROLES[OWNER]
"""Every permission there is."""

NOT_FOR_KEYS: frozenset[str] = frozenset(
    {
        "key:write",
        "member:write",
        "member:make_owner",
        "org:write",
        "org:delete",
        "billing:write",
        "connection:write",
        "secret:write",
    }
)
"""What only a signed-in person may do: a leaked key must not be able to make itself at home."""


def role_permissions(role: str) -> frozenset[str]:
    """What the role may do; an unknown role may do nothing."""
    return ROLES.get(role, frozenset())


def for_keys(permissions: Iterable[str]) -> frozenset[str]:
    """The part of `permissions` that an API key may carry."""
    return frozenset(permissions) - NOT_FOR_KEYS


def expanded(scopes: Iterable[str]) -> frozenset[str]:
    """Scopes as permissions: `flow:*` is every permission of flows, `*` every one. Unknown ones are left as they are,
    so that the caller can name them.
    """
    found: set[str] = set()
    for scope in scopes:
        if scope == "*":
            found |= for_keys(PERMISSIONS)
        elif scope.endswith(":*"):
            matching = {name for name in for_keys(PERMISSIONS) if name.startswith(scope[:-1])}
            found |= matching or {scope}
        else:
            found.add(scope)
    return frozenset(found)
