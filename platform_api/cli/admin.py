"""`modelbridge admin`: what an operator does without signing in."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from platform_api.cli.outcome import INVALID, CommandError, out, print_json
from platform_api.cli.platform import AsJson, settings_of_process

if TYPE_CHECKING:
    from platform_api.organizations.service import MadeOwner

app = typer.Typer(help="Operate a platform from its own machine.", no_args_is_help=True)


@app.command("create-org")
def create_organization(
    name: Annotated[str, typer.Argument(help="Name of the organisation.")],
    owner: Annotated[str, typer.Option(help="E-mail address of its first Owner.")],
    as_json: AsJson = False,
) -> int:
    """Make an organisation with its first Owner; password and key are shown once."""
    made = asyncio.run(_create_organization(name, owner))
    if as_json:
        print_json(
            {"organization": str(made.org_id), "email": made.email, "password": made.password, "api_key": made.api_key}
        )
        return 0
    for label, value in (("email", made.email), ("password", made.password), ("api_key", made.api_key)):
        out.print(f"{label:<10} {value}", highlight=False, markup=False, soft_wrap=True)
    return 0


@app.command("reset-password")
def reset_password(
    email: Annotated[str, typer.Argument(help="E-mail address of the user.")],
    password: Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True)],
) -> int:
    """Set a user's password; their sessions end."""
    if not asyncio.run(_reset_password(email, password)):
        raise CommandError(f"there is no user {email}", INVALID)
    out.print("password set; all sessions of this user have ended")
    return 0


@app.command("init-rbac")
def init_rbac() -> int:
    """Check that the built-in roles are usable. They are code, so there is nothing to store."""
    from platform_api.auth.permissions import PERMISSIONS, ROLES

    for role, permissions in ROLES.items():
        out.print(f"{role:<8} {len(permissions)} of {len(PERMISSIONS)} permissions", highlight=False)
    return 0


async def _create_organization(name: str, owner: str) -> "MadeOwner":
    from bridge.clock import SystemClock
    from platform_api.database.session import Database
    from platform_api.errors import ApiError
    from platform_api.migrations.runner import upgrade_database
    from platform_api.organizations import service
    from platform_api.security.credentials import Passwords

    database = Database(settings_of_process().database_url)
    try:
        await upgrade_database(database)
        return await service.create_organization(
            database, Passwords(), name=name, owner_email=owner, now=SystemClock().now()
        )
    except ApiError as error:
        raise CommandError(str(error), INVALID) from error
    finally:
        await database.aclose()


async def _reset_password(email: str, password: str) -> bool:
    from bridge.clock import SystemClock
    from platform_api.auth.identity import Identity
    from platform_api.auth.sign_in import reset_password as set_password
    from platform_api.database.session import Database
    from platform_api.errors import ApiError
    from platform_api.migrations.runner import upgrade_database
    from platform_api.security.root_secret import root_secret

    settings = settings_of_process()
    database = Database(settings.database_url)
    try:
        await upgrade_database(database)
        return await set_password(
            Identity.build(settings, database, SystemClock(), root_secret(settings)), email, password
        )
    except ApiError as error:
        raise CommandError(str(error), INVALID) from error
    finally:
        await database.aclose()
