"""The engine: plans, recorded programs, threads, streaming."""
