"""What yolotune does and costs, measured: `search` for the search, `cost` for seconds and memory, `peers` beside it.

Run from the root of the repository: `python -m benchmarks.search.regret --help`. Figures stand in RESULTS.md.
"""
