"""Images made ready once, by a process of their own; `preparation` is the way in."""
