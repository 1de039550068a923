"""Markdown that people get to read: what every report needs."""


def cell(text: str) -> str:
    """Text that does not break out of a table cell (pure)."""
    return text.replace("|", "\\|").replace("\n", " ")


def code(text: str) -> str:
    """Text as one span of code that it cannot break out of (pure)."""
    shown = text.replace("`", "'").replace("\n", " ")
    return f"`{shown}`"
