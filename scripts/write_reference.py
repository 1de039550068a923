"""Write the generated part of docs/configuration.md and the schemas."""

from pathlib import Path

from infraflux.config.reference import with_reference
from infraflux.config.schema import schema_files

ROOT = Path(__file__).parents[1]

page = ROOT / "docs/configuration.md"
page.write_text(with_reference(page.read_text("utf-8")), "utf-8")
for name, text in schema_files().items():
    (ROOT / name).write_text(text, "utf-8")
