"""Benchmarks: they report, they never pass or fail. `./run bench` lists them."""
