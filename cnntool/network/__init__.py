"""Networks: the graph of layers, its summary, its parameters, and the cost conventions of other tools."""
