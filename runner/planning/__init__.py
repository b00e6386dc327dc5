"""From a wish to jobs: sweep files, expansion, and what would run."""
