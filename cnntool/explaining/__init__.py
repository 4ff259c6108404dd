"""Explaining a network: the arithmetic of single outputs as data, and what words, pictures and pages are made of it."""
