"""What a network is: the graph of layers, its summary, its parameters, and how other tools count its cost."""
