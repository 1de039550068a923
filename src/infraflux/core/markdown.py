"""Markdown that people get to read: what every report needs."""


def cell(text: str) -> str:
    """Text that does not break out of a table cell (pure)."""
    return text.replace("|", "\\|").replace("\n", " ")
