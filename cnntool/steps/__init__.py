"""What a layer asks the engine to do: kinds of steps, geometry of windows, memory, bands."""
