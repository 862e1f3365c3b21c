"""CEL's checked syntax tree as protobuf messages: read from a compiled expression, built, and handed back.

Source: cel-spec, proto/cel/expr/{checked,syntax}.proto. The Python package ships no descriptors, so the part that is
needed is declared here; unknown fields survive a round trip.
"""

from functools import cache
from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

Ast = Any
"""A `cel.expr.CheckedExpr` or `cel.expr.Expr` message; their classes are made at run time and have no static type."""

_PACKAGE = "cel.expr"
_TYPE_URL = "type.googleapis.com/cel.expr.CheckedExpr"
_SCALARS = {name: f"TYPE_{name.upper()}" for name in ("int64", "int32", "uint64", "double", "bool", "string", "bytes")}

_FIELDS: dict[str, list[tuple[str, int, str, bool]]] = {
    "Expr.Ident": [("name", 1, "string", False)],
    "Expr.Select": [("operand", 1, "Expr", False), ("field", 2, "string", False), ("test_only", 3, "bool", False)],
    "Expr.Call": [("target", 1, "Expr", False), ("function", 2, "string", False), ("args", 3, "Expr", True)],
    "Expr.CreateList": [("elements", 1, "Expr", True), ("optional_indices", 2, "int32", True)],
    "Expr.CreateStruct": [("message_name", 1, "string", False), ("entries", 2, "Expr.Entry", True)],
    "Expr.Entry": [
        ("id", 1, "int64", False),
        ("field_key", 2, "string", False),
        ("map_key", 3, "Expr", False),
        ("value", 4, "Expr", False),
    ],
    "Expr.Comprehension": [
        ("iter_var", 1, "string", False),
        ("iter_range", 2, "Expr", False),
        ("accu_var", 3, "string", False),
        ("accu_init", 4, "Expr", False),
        ("loop_condition", 5, "Expr", False),
        ("loop_step", 6, "Expr", False),
        ("result", 7, "Expr", False),
        ("iter_var2", 8, "string", False),
    ],
    "Constant": [
        ("null_value", 1, "int32", False),
        ("bool_value", 2, "bool", False),
        ("int64_value", 3, "int64", False),
        ("uint64_value", 4, "uint64", False),
        ("double_value", 5, "double", False),
        ("string_value", 6, "string", False),
        ("bytes_value", 7, "bytes", False),
    ],
    "SourceInfo": [("line_offsets", 3, "int32", True), ("positions", 4, "SourceInfo.PositionsEntry", True)],
    "SourceInfo.PositionsEntry": [("key", 1, "int64", False), ("value", 2, "int32", False)],
    "Reference": [("name", 1, "string", False), ("overload_id", 3, "string", True)],
    "CheckedExpr": [
        ("reference_map", 2, "CheckedExpr.ReferenceMapEntry", True),
        ("expr", 4, "Expr", False),
        ("source_info", 5, "SourceInfo", False),
    ],
    "CheckedExpr.ReferenceMapEntry": [("key", 1, "int64", False), ("value", 2, "Reference", False)],
}
_EXPR_KINDS = [
    ("const_expr", 3, "Constant"),
    ("ident_expr", 4, "Expr.Ident"),
    ("select_expr", 5, "Expr.Select"),
    ("call_expr", 6, "Expr.Call"),
    ("list_expr", 7, "Expr.CreateList"),
    ("struct_expr", 8, "Expr.CreateStruct"),
    ("comprehension_expr", 9, "Expr.Comprehension"),
]


def read_ast(serialized: bytes) -> Ast:
    """The CheckedExpr inside what `Expression.serialize()` gives."""
    wrapped = any_pb2.Any()
    wrapped.ParseFromString(serialized)
    checked = _checked_class()()
    checked.ParseFromString(wrapped.value)
    return checked


def write_ast(checked: Ast) -> bytes:
    """The bytes that `Env.deserialize()` takes."""
    return any_pb2.Any(type_url=_TYPE_URL, value=checked.SerializeToString()).SerializeToString()


@cache
def _checked_class() -> type[Message]:
    file = descriptor_pb2.FileDescriptorProto(name="modelbridge/cel_checked.proto", package=_PACKAGE, syntax="proto3")
    messages: dict[str, descriptor_pb2.DescriptorProto] = {}
    for name in ["Expr", *_FIELDS]:
        parent, _, short = name.rpartition(".")
        message = messages[parent].nested_type.add() if parent else file.message_type.add()
        message.name = short
        messages[name] = message
        if short.endswith("Entry") and name != "Expr.Entry":
            message.options.map_entry = True
        for field_name, number, kind, is_repeated in _FIELDS.get(name, []):
            _add_field(message, field_name, number, kind, is_repeated=is_repeated)
    constant = messages["Constant"]
    constant.oneof_decl.add(name="constant_kind")
    for field in constant.field:
        field.oneof_index = 0
    expr = messages["Expr"]
    expr.oneof_decl.add(name="expr_kind")
    _add_field(expr, "id", 2, "int64")
    for field_name, number, kind in _EXPR_KINDS:
        _add_field(expr, field_name, number, kind)
        expr.field[-1].oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.CheckedExpr"))


def _add_field(
    message: descriptor_pb2.DescriptorProto, name: str, number: int, kind: str, *, is_repeated: bool = False
) -> None:
    field = descriptor_pb2.FieldDescriptorProto
    message.field.append(
        field(
            name=name,
            number=number,
            label=field.Label.Value("LABEL_REPEATED" if is_repeated else "LABEL_OPTIONAL"),
            type=field.Type.Value(_SCALARS.get(kind, "TYPE_MESSAGE")),
            type_name=None if kind in _SCALARS else f".{_PACKAGE}.{kind}",
        )
    )
