"""Saved networks: `.npz` and `.safetensors`."""
