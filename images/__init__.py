"""Sample images for the demo; manifest.json states what is true of each."""
