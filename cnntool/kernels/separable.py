"""What Python needs of separable banks: the sizes of a strip, and of the scratch that one takes."""

from __future__ import annotations

from cnntool.kernels import kernels_of
from cnntool.kernels.vectors import HOST, LANES

ROWS, VECTORS = HOST.line_tile  # rows are filters along rows, then rows of outputs
STRIP = LANES * VECTORS  # pixels


def scratch_shapes(
    kernel_height: int, kernel_width: int, stride_y: int, stride_x: int, rows: int, maps: int, filters: int
) -> tuple[tuple[int, ...], ...]:
    """What the kernel keeps of one strip: an image row's phases, its folds, the lines, the maps, and the pixels."""
    slots = kernel_height + stride_y * (ROWS - 1)
    return (
        (stride_x, STRIP + kernel_width // stride_x + 1), (kernel_width, STRIP), (rows + ROWS - 1, slots, STRIP),
        (maps, ROWS, STRIP), (STRIP * filters + LANES,),
    )  # fmt: skip


__getattr__ = kernels_of(__name__)
