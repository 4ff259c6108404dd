"""One declaration a layer: hyperparameters, output shape, parameters, cost, forward."""
