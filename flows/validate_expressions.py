"""Checks of expressions: that they compile, name what exists, have the types their places want."""

from collections.abc import Iterable, Mapping

from bridge.json_types import JsonObject
from flows.block_scopes import BlockScope, ScopeTree
from flows.concurrency import KEY_ROOTS
from flows.diagnostics import Diagnostics
from flows.errors import ExpressionSyntaxError, Finding
from flows.expressions_compiled import ROOTS, compile_expression, plain_chain
from flows.expressions_facts import Read
from flows.expressions_functions import CEL_FUNCTIONS, FUNCTION_DOCS
from flows.expressions_schemas import Miss, follow, is_nullable, kinds_of
from flows.expressions_types import TypedResult
from flows.expressions_uses import BASE_ROOTS, CONCURRENCY_KEY, Use
from flows.node_schemas import config_schema, schema_at
from flows.secret_reads import NAME as SECRET_NAME
from flows.secret_reads import PLACES as SECRET_PLACES
from flows.secret_reads import ROOT_SCHEMA as SECRETS_SCHEMA
from flows.suggestions import did_you_mean

_SPECIAL = {
    "item": "`item` exists inside foreach and matrix only",
    "index": "`index` exists inside foreach and matrix only",
    "state": "`state` exists inside loop only",
    "error": "`error` exists in on_failure, finally and retry.when only",
    "errors": "`errors` exists in on_failure and finally only",
    "body": "`body` exists in webhook triggers only",
    "headers": "`headers` exists in webhook triggers only",
}
_PLURAL = {"string": "a text", "integer": "a whole number", "number": "a number", "boolean": "true or false",
           "array": "a list", "object": "a map", "null": "null"}  # fmt: skip


def compile_all(uses: Iterable[Use], names: frozenset[str], problems: Diagnostics) -> None:
    """Compile every expression over all names of the document; fills `facts` or reports."""
    for use in uses:
        try:
            use.facts = compile_expression(use.text, ROOTS | names | use.extra_names).facts
        except ExpressionSyntaxError as error:
            report(use, error.findings, ROOTS | names, problems)


def report(use: Use, findings: Iterable[Finding], names: Iterable[str], problems: Diagnostics) -> None:
    """Report findings at their places in the document, with suggestions."""
    for finding in findings:
        hint = None
        if finding.code == "unknown_function":
            hint = did_you_mean(finding.name, {*FUNCTION_DOCS, *CEL_FUNCTIONS})
        elif finding.code == "unknown_name":
            hint = did_you_mean(finding.name, names) or "roots are inputs, nodes, run, tenant"
        problems.error(use.place(finding.offset), finding.code, finding.message, hint)


class ExpressionChecker:
    """Checks names, fields and types of compiled expressions."""

    def __init__(self, tree: ScopeTree, problems: Diagnostics) -> None:
        self._tree = tree
        self._problems = problems

    def check(self, use: Use) -> None:
        """All checks of one expression."""
        if use.facts is None:
            return
        scope = self._tree.of_step[use.step.id] if use.step is not None else self._tree.main
        extra = self._extra(use)
        roots = {**self._tree.roots(scope), **extra}
        bad_places = {self._check_read(use, read, roots) for read in use.facts.reads} - {None}
        if not bad_places:
            self._check_kind(use, self._typed(use, scope, extra, roots))
        self._warn(use)

    def _extra(self, use: Use) -> dict[str, JsonObject]:
        """The schemas of names that exist at this place beyond the block's."""
        extra: dict[str, JsonObject] = {}
        step = use.step
        if step is None:
            return extra
        if step.foreach is not None and step.kind != "foreach" and use.is_per_item:
            extra = {step.foreach.name: self._tree.item_schema(step), "index": {"type": "integer"}}
        if step.node_class is not None and use.path and use.path[0] in step.node_class.secret_fields:
            extra["secrets"] = SECRETS_SCHEMA
        for name in use.extra_names:
            extra[name] = {}
            if name == "index":
                extra[name] = {"type": "integer"}
            elif name == "item":
                extra[name] = self._own_item(use)
            elif name == "state":
                extra[name] = self._tree.state_schema(step)
        return extra

    def _own_item(self, use: Use) -> JsonObject:
        """The schema of `item` in a node that walks over its own `items`, like transform."""
        if use.step is None or "items" not in use.step.config:
            return {}
        scope = self._tree.of_step[use.step.id]
        schema = self._tree.schema_of(use.step.config["items"], scope)
        items = schema.get("items")
        return items if isinstance(items, Mapping) else {}

    def _check_read(self, use: Use, read: Read, roots: Mapping[str, JsonObject]) -> int | None:
        """Report a root or field that does not exist; the place of the problem, None when there is none."""
        if read.root == "secrets":
            return self._check_secret(use, read)
        if use.where == CONCURRENCY_KEY and read.root not in KEY_ROOTS:
            message = f"`{read.root}` cannot be read here: the key is evaluated before the run begins"
            self._problems.error(use.place(read.offset), "not_allowed_here", message, "read `inputs` or `tenant`")
            return read.offset
        if read.root not in roots:
            message = _SPECIAL.get(read.root, f"`{read.root}` does not exist here")
            hint = did_you_mean(read.root, roots) or f"names here are {', '.join(sorted(BASE_ROOTS | roots.keys()))}"
            self._problems.error(use.place(read.offset), "unknown_name", message, hint)
            return read.offset
        found = follow(roots[read.root], read.fields)
        if not isinstance(found, Miss):
            return None
        if not (read.root == "nodes" and found.index == 0):  # the graph has said so
            hint = did_you_mean(read.fields[found.index], found.known)
            if hint is None and found.known:
                hint = f"fields are {', '.join(found.known[:20])}"
            place = use.place(read.field_offsets[found.index])
            self._problems.error(place, "unknown_field", found.message, hint)
        return read.field_offsets[found.index]

    def _check_secret(self, use: Use, read: Read) -> int | None:
        """`secrets.NAME` stands alone, in a field that may hold a secret; what is made of it stays in there."""
        cls = use.step.node_class if use.step is not None else None
        field = use.path[0] if use.path else ""
        if cls is None or field not in cls.secret_fields:
            allowed = f"in {', '.join(sorted(cls.secret_fields))} of this step" if cls and cls.secret_fields else None
            hint = f"secrets may be read {allowed}" if allowed else SECRET_PLACES
            message = f"a secret must not reach `{use.where}`"
            self._problems.error(use.place(read.offset), "secret_not_allowed", message, hint)
            return read.offset
        if len(read.fields) != 1 or read.is_indexed or not SECRET_NAME.fullmatch(read.fields[0]):
            message = "a secret is read as `secrets.NAME`, in capitals"
            self._problems.error(use.place(read.offset), "secret_name", message)
            return read.offset
        return None

    def _typed(
        self, use: Use, scope: BlockScope, extra: Mapping[str, JsonObject], roots: Mapping[str, JsonObject]
    ) -> TypedResult:
        chain = plain_chain(use.text)
        if chain is not None:
            found = follow(roots[chain.root], chain.fields)
            kinds = kinds_of(found) if not isinstance(found, Miss) else frozenset[str]()
            is_certain = len(kinds) == 1 and not isinstance(found, Miss) and not is_nullable(found)
            return TypedResult(kind=next(iter(kinds)) if is_certain else None)
        result = self._tree.typed(scope, extra).check(use.text)
        report(use, result.findings, roots, self._problems)
        return result

    def _check_kind(self, use: Use, result: TypedResult) -> None:
        """The type of a field that is exactly this expression."""
        wanted = self._wanted(use)
        if not wanted or result.kind is None or result.kind in wanted:
            return
        if result.kind == "integer" and "number" in wanted:
            return
        words = " or ".join(_PLURAL.get(kind, kind) for kind in sorted(wanted))
        message = f"`{use.where}` wants {words}, the expression gives {_PLURAL[result.kind]}"
        hint = "wrap it in text()" if wanted == frozenset({"string"}) else None
        self._problems.error(use.start, "expression_type", message, hint)

    def _wanted(self, use: Use) -> frozenset[str]:
        """The JSON kinds the field takes; empty when anything goes."""
        if not use.is_sole:
            return frozenset()
        last = use.where.rsplit(".", 1)[-1]
        is_case = use.where.startswith("with.cases.") and last == "if"
        if is_case or use.where in {"when", "retry.when", "with.where", "with.until"}:
            return frozenset({"boolean"})
        if use.where in {"foreach.items", "with.items"} and use.step is not None and use.step.foreach is not None:
            return frozenset({"array"})
        step = use.step
        if step is None or step.node_class is None or not use.path or use.path[0] in step.node_class.late_fields:
            return frozenset()
        found = schema_at(config_schema(step.node_class), use.path)
        kinds = [kinds_of(branch) for branch in found]
        return frozenset[str]().union(*kinds) if kinds and all(kinds) else frozenset()

    def _warn(self, use: Use) -> None:
        if use.facts is None:
            return
        for offset in use.facts.integer_divisions:
            message = "`/` of two whole numbers drops the remainder"
            self._problems.warning(use.place(offset), "integer_division", message, "write 2.0 for 2, or double(n)")
