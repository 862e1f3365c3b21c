"""Checks the types of expressions: the roots become protobuf messages made from JSON Schemas, and CEL's own checker
finds wrong operands, functions and fields of loop variables.

Messages are for checking only. What runs is compiled over maps, and some things that are right for maps are refused
for messages (an index, `in`, comparison with a map): those findings are dropped.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from cel_expr_python import cel
from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)

from bridge.json_types import JsonObject
from flows.errors import Finding
from flows.expressions_compiled import findings_of
from flows.expressions_functions import check_functions
from flows.expressions_schemas import alternatives, is_nullable, items_of, kinds_of

_PACKAGE = "mb"
_VALUE = ".google.protobuf.Value"
_SCALARS = {"string": "TYPE_STRING", "integer": "TYPE_INT64", "number": "TYPE_DOUBLE", "boolean": "TYPE_BOOL"}
_WRAPPERS = {"string": "StringValue", "integer": "Int64Value", "number": "DoubleValue", "boolean": "BoolValue"}
_CEL_SCALARS = {"string": cel.Type.STRING, "integer": cel.Type.INT, "number": cel.Type.DOUBLE, "boolean": cel.Type.BOOL}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAX_MESSAGE_DEPTH = 12
_FINE_FOR_MAPS = frozenset({"_[_]", "@in", "_==_", "_!=_", "_?_:_", "size"})
_COMPARISONS = frozenset({"_<_", "_<=_", "_>_", "_>=_", "_==_", "_!=_"})
_NUMBERS = frozenset({"int", "double", "uint"})
_RESULT_KINDS = {
    "BOOL": "boolean", "INT": "integer", "UINT": "integer", "DOUBLE": "number", "STRING": "string",
    "TIMESTAMP": "string", "DURATION": "string",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TypedResult:
    """What the checker says: problems, and the JSON kind of the value when it is certain."""

    findings: tuple[Finding, ...] = ()
    kind: str | None = None


class TypedScope:
    """The schemas of the roots at some place; checks expressions there. Environments are shared by equal scopes."""

    def __init__(self, roots: Mapping[str, JsonObject]) -> None:
        self.roots = dict(roots)
        self._key: str | None = None

    def check(self, text: str) -> TypedResult:
        """Check one expression."""
        if self._key is None:
            self._key = json.dumps(self.roots, sort_keys=True)
        return _check(text, self._key)


@lru_cache(maxsize=8192)
def _check(text: str, roots: str) -> TypedResult:
    try:
        compiled = _environment(roots).compile(text)
    except RuntimeError as error:
        return TypedResult(tuple(f for f in findings_of(text, str(error)) if not _is_fine_at_run_time(f)))
    name = compiled.return_type().name()
    if name.startswith("LIST"):
        return TypedResult(kind="array")
    if name.startswith(("MAP", f"{_PACKAGE}.")):
        return TypedResult(kind="object")
    return TypedResult(kind=_RESULT_KINDS.get(name.removeprefix("wrapper(").removesuffix(")").upper()))


def _is_fine_at_run_time(finding: Finding) -> bool:
    if "*error*" in finding.message:
        return True
    if finding.code != "expression_type" or not finding.types:
        return f"{_PACKAGE}.T" in finding.message and "range" in finding.message
    if finding.name in _FINE_FOR_MAPS and any(f"{_PACKAGE}.T" in kind for kind in finding.types):
        return True
    if finding.name in _COMPARISONS:
        kinds = {re.sub(r"wrapper\((\w+)\)", r"\1", kind) for kind in finding.types}
        return kinds <= _NUMBERS or "null_type" in kinds
    return False


@lru_cache(maxsize=256)
def _environment(roots: str) -> cel.Env:
    builder = _Messages()
    variables = {name: builder.variable(schema) for name, schema in json.loads(roots).items()}
    return cel.NewEnv(descriptor_pool=builder.pool(), variables=variables, functions=list(check_functions()))


@dataclass(slots=True)
class _Messages:
    """One message a distinct object schema."""

    file: descriptor_pb2.FileDescriptorProto = field(
        default_factory=lambda: descriptor_pb2.FileDescriptorProto(
            name="modelbridge/roots.proto",
            package=_PACKAGE,
            syntax="proto3",
            dependency=["google/protobuf/struct.proto", "google/protobuf/wrappers.proto"],
        )
    )
    names: dict[str, str] = field(default_factory=dict[str, str])

    def pool(self) -> descriptor_pool.DescriptorPool:
        pool = descriptor_pool.DescriptorPool()
        for module in (struct_pb2, wrappers_pb2, timestamp_pb2, duration_pb2, any_pb2):
            pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
        pool.AddSerializedFile(self.file.SerializeToString())
        return pool

    def variable(self, schema: JsonObject) -> cel.Type:
        """The CEL type of a root."""
        branch = _sole(schema)
        kinds = kinds_of(branch) if branch is not None else frozenset[str]()
        kind = next(iter(kinds)) if len(kinds) == 1 else ""
        if branch is None or is_nullable(schema):
            return cel.Type.DYN
        if kind in _CEL_SCALARS:
            return _CEL_SCALARS[kind]
        if kind == "array":
            return cel.Type.List(self.variable(items_of(branch)))
        if kind == "object" and _is_closed(branch):
            return cel.Type(self._message(branch, 0))
        return cel.Type.DYN

    def _message(self, schema: JsonObject, depth: int) -> str:
        key = json.dumps(schema, sort_keys=True)
        known = self.names.get(key)
        if known:
            return known
        name = f"T{len(self.names)}"
        self.names[key] = f"{_PACKAGE}.{name}"
        message = self.file.message_type.add(name=name)
        properties = schema.get("properties")
        for prop, inner in properties.items() if isinstance(properties, Mapping) else ():
            if _NAME.fullmatch(prop):
                self._field(message, prop, inner if isinstance(inner, Mapping) else {}, depth + 1)
        return self.names[key]

    def _field(self, message: descriptor_pb2.DescriptorProto, name: str, schema: JsonObject, depth: int) -> None:
        number = len(message.field) + 1
        added = message.field.add(name=name, number=number, json_name=f"f{number}")
        proto = descriptor_pb2.FieldDescriptorProto
        branch = _sole(schema)
        is_list = branch is not None and kinds_of(branch) == frozenset({"array"})
        kind, type_name = self._type(items_of(branch) if branch is not None and is_list else schema, depth)
        added.label = proto.Label.Value("LABEL_REPEATED" if is_list else "LABEL_OPTIONAL")
        added.type = proto.Type.Value(kind)
        if type_name:
            added.type_name = type_name

    def _type(self, schema: JsonObject, depth: int) -> tuple[str, str]:
        """The proto type of a value, and the name of its message."""
        branch = _sole(schema)
        kinds = kinds_of(branch) if branch is not None else frozenset[str]()
        kind = next(iter(kinds)) if len(kinds) == 1 else ""
        if kind in _SCALARS:
            if is_nullable(schema):
                return "TYPE_MESSAGE", f".google.protobuf.{_WRAPPERS[kind]}"
            return _SCALARS[kind], ""
        if kind == "object" and branch is not None and _is_closed(branch) and depth < _MAX_MESSAGE_DEPTH:
            return "TYPE_MESSAGE", f".{self._message(branch, depth)}"
        return "TYPE_MESSAGE", _VALUE


def _sole(schema: JsonObject) -> JsonObject | None:
    """The only alternative besides null; None when there are several."""
    branches = alternatives(schema)
    return branches[0] if len(branches) == 1 else None


def _is_closed(schema: JsonObject) -> bool:
    return bool(schema.get("properties")) and not schema.get("additionalProperties")
