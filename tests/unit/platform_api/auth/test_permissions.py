import pytest

from platform_api.auth.caller import require
from platform_api.auth.permissions import (
    NOT_FOR_KEYS,
    PERMISSIONS,
    ROLES,
    expanded,
    for_keys,
    role_permissions,
)

OWNER_ONLY = {"billing:write", "org:delete", "member:make_owner"}
ADMIN_UP = {
    "budget:write", "routing:write", "connection:read", "connection:write", "member:write", "org:write",
    "monitoring:write", "audit:read", "billing:read", "secret:write",
}  # fmt: skip
MEMBER_UP = {
    "flow:write", "flow:publish", "flow:run", "run:cancel", "run:approve", "schedule:write", "llm:call",
    "dataset:write", "evaluation:write", "key:write", "secret:read",
}  # fmt: skip


@pytest.mark.parametrize(
    ("role", "denied"),
    [
        ("Owner", set[str]()),
        ("Admin", OWNER_ONLY),
        ("Member", OWNER_ONLY | ADMIN_UP),
        ("Viewer", OWNER_ONLY | ADMIN_UP | MEMBER_UP),
        ("owner", PERMISSIONS),
        ("", PERMISSIONS),
    ],
)
def test_a_role_may_do_what_the_reviewed_table_says(role: str, denied: set[str]) -> None:
    assert role_permissions(role) == PERMISSIONS - denied


def test_a_viewer_changes_nothing() -> None:
    assert {name.partition(":")[2] for name in ROLES["Viewer"]} == {"read"}


def test_a_key_carries_nothing_that_lets_it_settle_in() -> None:
    assert not for_keys(PERMISSIONS) & NOT_FOR_KEYS
    assert not expanded(["*"]) & NOT_FOR_KEYS
    assert "key:write" not in expanded(["key:*"])


def test_a_star_stands_for_every_verb_of_its_resource() -> None:
    assert expanded(["flow:*", "llm:call"]) == {"flow:read", "flow:write", "flow:publish", "flow:run", "llm:call"}
    assert expanded(["nothing:*", "x:y"]) == {"nothing:*", "x:y"}


def test_a_permission_that_does_not_exist_fails_at_import() -> None:
    with pytest.raises(ValueError, match="flow:fly"):
        require("flow:fly")
