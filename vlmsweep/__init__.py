"""The entry of `vlmsweep`, under a unique name: `runner` may be another package on the path."""
