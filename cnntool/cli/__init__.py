"""The shell: one file a command. The only place that imports rich."""
