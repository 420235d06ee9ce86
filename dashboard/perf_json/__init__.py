"""``.perf.json``: what happened, as one file that anybody can keep, read and convert."""
