"""Pictures that explain: curves, plots and graphs by matplotlib, with numbers that the kernels compute.

The only place that imports matplotlib, which the extra `plots` brings; it is imported when a picture is drawn.
"""
