"""One module per engine; `workers.engine` names them and imports the one chosen."""
