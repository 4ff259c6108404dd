"""Files in and out: reading images and volumes, sources of many, contact sheets, tables.

A leaf of the project, and the only place that imports Pillow. Its modules are imported on use, so that what needs only
a table of suffixes or the words of an option waits for neither numpy nor Pillow.
"""
