"""Layers, each declared by one class: hyperparameters, output shape, parameters, cost, computation."""
