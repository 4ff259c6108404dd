"""Learning: statistics and filters from images without labels, linear classifiers of features, trained networks."""
