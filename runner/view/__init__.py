"""What people see: tables, formats, the live view. Nothing here decides anything."""
