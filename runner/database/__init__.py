"""The one SQLite file: its schema, its writer, its readers."""

APPLICATION_ID = 0x766C6D73  # "vlms", in the header of each of our files
MIGRATIONS = ("m001_initial",)  # names in order; here, since sqlite-utils is slow to import
BUSY_TIMEOUT_S = 30.0  # how long a statement waits for a lock of another connection
