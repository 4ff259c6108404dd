"""`cnntool show`: pictures of what the layers do, one sub-command for each kind of picture."""

from __future__ import annotations

import click

from cnntool.cli.groups import LateGroup

# In the order of the help page. Each lives in `show_NAME`, as `NAME`.
SHOWS = {
    "filters": "The filters of a bank, or of a layer of a model.",
    "activations": "Curves and derivatives of the activation functions.",
    "bank": "A bank of filters in space and in frequency.",
    "whitening": "Two channels of an image as they are centred, normalised, whitened.",
    "pooling": "Max, average and L2 pooling beside a convolution with stride 2.",
    "network": "A network as a graph: SVG, PNG or Mermaid.",
    "compare": "Fully connected against convolutional; batch normalisation, before and after.",
    "maximize": "The picture that excites a unit most, by gradient ascent.",
    "patches": "The patches of images that excite a unit most.",
    "report": "A page of all layers of a network on an image, to be read in a browser.",
}


@click.group(
    cls=LateGroup, table=SHOWS, place="cnntool.cli.show_{0}:{0}", name="show",
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip
def command() -> None:
    """Pictures of what the layers do, each with the numbers that the kernels compute.

    \b
    cnntool show activations curves.png
    cnntool show bank gabor bank.png
    cnntool show pooling photo.jpg pools.png
    cnntool show network 224x224x3 network.svg conv 64 7 --stride 2 relu maxpool 2

    OUT is a picture by its suffix: .png, .svg, .jpg and others. Curves and plots are drawn by matplotlib, which
    `pip install 'cnntool[plots]'` brings. A picture carries the command that made it in its metadata.
    """
