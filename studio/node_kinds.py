"""The icon of each node type, as a Material symbol."""

ICONS: dict[str, str] = {
    "llm": "smart_toy",
    "classify": "label",
    "extract": "data_object",
    "compare": "compare_arrows",
    "embed": "scatter_plot",
    "retrieve": "manage_search",
    "ingest": "library_add",
    "template": "article",
    "transform": "swap_horiz",
    "http": "language",
    "python": "code",
    "sql": "database",
    "switch": "alt_route",
    "loop": "loop",
    "foreach": "dynamic_feed",
    "flow": "account_tree",
    "approve": "front_hand",
    "wait": "hourglass_empty",
    "guard": "shield",
    "evaluate": "fact_check",
    "agent": "support_agent",
    "mcp": "extension",
    "notify": "notifications",
    "storage": "inventory_2",
    "fail": "block",
    "noop": "radio_button_unchecked",
}


def icon(node_type: str | None) -> str:
    """The symbol of `node_type`; a neutral one for types this studio does not know."""
    return ICONS.get(node_type or "", "widgets")
