"""What families do besides the ordinary, by engine. Imported only when that engine loads one."""
