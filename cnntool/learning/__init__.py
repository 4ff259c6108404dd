"""Learning: statistics and filters from unlabelled images, linear classifiers of features, trained networks."""
