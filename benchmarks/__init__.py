"""The numbers that the design promises, measured beside a naive peer in the same run (docs/benchmarks.md)."""
