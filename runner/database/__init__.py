"""The one SQLite file: its schema, its writer, its readers."""

APPLICATION_ID = 0x766C6D73  # "vlms", in the header of each of our files
BUSY_TIMEOUT_S = 30.0  # how long a statement waits for a lock of another connection
