"""Steps that layers ask the engine to compute: their kinds, window geometry, memory, bands, runs."""
