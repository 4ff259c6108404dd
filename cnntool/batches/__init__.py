"""Many inputs into one output: parts that survive an interruption, and outputs that are brought up to date."""
