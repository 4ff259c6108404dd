"""The graph of layers, its summary, its parameters and its plan."""
