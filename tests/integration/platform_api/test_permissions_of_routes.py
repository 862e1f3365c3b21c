from pathlib import Path

from platform_api.auth.caller import declared_permissions
from platform_api.database.session import Database
from platform_api.wiring import build_application
from tests.support.api import settings_for

EXPECTED = """
public        GET     /.well-known/jwks.json
public        GET     /healthz
public        GET     /readyz
public        GET     /metrics
public        POST    /api/auth/register
public        POST    /api/auth/login
public        POST    /api/auth/refresh
public        POST    /api/auth/logout
public        POST    /api/auth/session-codes
public        POST    /api/auth/session-codes/exchange
signed-in     GET     /api/auth/me
person        DELETE  /api/auth/sessions/{session_id}
key:read      GET     /api/auth/api-keys
key:read      GET     /api/auth/api-keys/{key_id}
key:write     POST    /api/auth/api-keys
key:write     PATCH   /api/auth/api-keys/{key_id}
key:write     DELETE  /api/auth/api-keys/{key_id}
key:write     POST    /api/auth/api-keys/{key_id}/rotate
org:read      GET     /api/organizations/current
org:write     PATCH   /api/organizations/current
member:read   GET     /api/organizations/current/members
member:write  PATCH   /api/organizations/current/members/{user_id}
member:write  DELETE  /api/organizations/current/members/{user_id}
secret:read   GET     /api/secrets
secret:write  PUT     /api/secrets/{name}
secret:write  DELETE  /api/secrets/{name}
flow:read     GET     /api/flows
flow:read     GET     /api/flows/{flow}
flow:read     GET     /api/flows/{flow}/versions
flow:write    POST    /api/flows
flow:publish  POST    /api/flows/{flow}/publish
flow:publish  POST    /api/flows/{flow}/rollback
flow:publish  PUT     /api/flows/{flow}/canary
flow:read     GET     /api/flows/{flow}/diff
flow:run      POST    /api/flows/{flow}/runs
run:read      GET     /api/runs
run:read      GET     /api/runs/{run_id}
run:read      GET     /api/runs/{run_id}/events
run:read      GET     /api/artifacts/{handle}
run:cancel    POST    /api/runs/{run_id}/cancel
flow:run      POST    /api/runs/{run_id}/replay
flow:run      POST    /api/runs/{run_id}/rerun
run:read      GET     /api/approvals
run:approve   POST    /api/runs/{run_id}/approvals/{path}
call:read     GET     /api/calls/{call_id}
schedule:read   GET     /api/schedules
schedule:write  POST    /api/schedules
schedule:write  PATCH   /api/schedules/{schedule_id}
schedule:write  DELETE  /api/schedules/{schedule_id}
schedule:write  POST    /api/schedules/{schedule_id}/backfill
flow:read     GET     /api/triggers
flow:publish  PATCH   /api/triggers/{trigger}
flow:publish  POST    /api/triggers/{trigger}/secret
public        POST    /api/hooks/{org}/{hook}
budget:read   GET     /api/budgets
budget:write  POST    /api/budgets
budget:write  DELETE  /api/budgets/{budget_id}
org:read      GET     /api/limits
org:write     PUT     /api/limits/organization
usage:read    GET     /api/billing/usage
llm:call      POST    /api/v1/generate
llm:call      POST    /api/v1/generate-structured
model:read    GET     /api/v1/models
model:read    GET     /api/v1/health
"""
"""Reviewed by people, not made from the code: what each route needs. Who has it: test_permissions.py of auth."""


async def test_every_route_needs_what_the_reviewed_table_says(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'unused.db'}"
    database = Database(url)
    application = build_application(settings_for(url, tmp_path), database)
    await database.aclose()

    rows = [line.split() for line in EXPECTED.strip().splitlines()]

    assert declared_permissions(application.routes) == {(method, path): needed for needed, method, path in rows}
