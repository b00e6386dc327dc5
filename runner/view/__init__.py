"""Display: tables, output formats, the live view. No decisions are made here."""
