"""Sample pictures for the demo, with what is true of each in manifest.json."""
