"""Flow text to checked plans, in a thread, remembered per version; and where referenced flows are read from."""

import asyncio
import hashlib
from collections import OrderedDict
from uuid import UUID

from sqlalchemy import select

from flows.plan import Plan
from flows.validate import Checked, ModelNames, check
from nodes.errors import NodeError
from platform_api.database.session import Database
from platform_api.database.tables.flows import FlowRow, FlowVersionRow

MAX_PLANS = 256
MAX_YAML_BYTES = 256 * 1024


class FlowTexts:
    """Stored versions by reference: `name@2`, or `name` for the published one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, org_id: UUID, reference: str) -> tuple[str, int, str]:
        """Name, version and text. Raises LookupError, naming what is missing."""
        name, _, wanted = reference.partition("@")
        if wanted and not wanted.isdecimal():
            raise LookupError(f"{reference!r} is no flow reference; write name@version")
        is_version = (
            FlowVersionRow.version == int(wanted) if wanted else FlowVersionRow.version == FlowRow.published_version
        )
        query = (
            select(FlowVersionRow.version, FlowVersionRow.yaml)
            .join(FlowRow, FlowRow.id == FlowVersionRow.flow_id)
            .where(FlowRow.org_id == org_id, FlowRow.name == name, is_version)
        )
        async with self._database.for_org(org_id).read() as db:
            found = (await db.execute(query)).one_or_none()
        if found is None:
            raise LookupError(f"there is no flow {reference!r}" + ("" if wanted else " with a published version"))
        return name, found[0], found[1]


class FlowCompiler:
    """Checks and compiles flows of any organisation."""

    def __init__(self, texts: FlowTexts, names: ModelNames) -> None:
        self._texts = texts
        self.names = names
        self._plans: OrderedDict[tuple[UUID, str], Plan] = OrderedDict()

    async def check(self, org_id: UUID, text: str, *, file: str = "flow.yaml") -> Checked:
        """All problems of a document, and its plan when it has none. Flows it refers to are read from the database."""
        loop = asyncio.get_running_loop()

        def read_reference(reference: str) -> str:
            _, _, child = asyncio.run_coroutine_threadsafe(self._texts.read(org_id, reference), loop).result()
            return child

        return await asyncio.to_thread(check, text, file=file, catalog=self.names, read_ref=read_reference)

    async def plan(self, org_id: UUID, flow: str, version: int | None) -> tuple[Plan, int]:
        """The plan of a stored version (the published one when None) and its number.

        Raises LookupError when there is none, NodeError when it cannot run any more (a model is gone).
        """
        name, number, text = await self._texts.read(org_id, flow if version is None else f"{flow}@{version}")
        key = (org_id, hashlib.sha256(text.encode()).hexdigest())
        plan = self._plans.get(key)
        if plan is None:
            checked = await self.check(org_id, text, file=f"{name}@{number}")
            if checked.plan is None:
                problems = "; ".join(each.to_text() for each in checked.diagnostics if each.severity == "error")
                raise NodeError(f"flow {name}@{number} cannot run: {problems}", error_class="validation")
            plan = checked.plan
            self._plans[key] = plan
            while len(self._plans) > MAX_PLANS:
                self._plans.popitem(last=False)
        self._plans.move_to_end(key)
        return plan, number

    def remember(self, org_id: UUID, text: str, plan: Plan) -> None:
        """Use `plan` for this text from now on: it was compiled where the files it refers to can be read."""
        self._plans[org_id, hashlib.sha256(text.encode()).hexdigest()] = plan

    async def load_plan(self, org_id: str, reference: str) -> Plan:
        """The engine's port: a plan by reference. Raises NodeError."""
        name, _, wanted = reference.partition("@")
        try:
            plan, _ = await self.plan(UUID(org_id), name, int(wanted) if wanted else None)
        except LookupError as error:
            raise NodeError(str(error), error_class="validation") from error
        return plan
