"""Integer arithmetic of windows, padding and output sizes, and hints if a window does not fit.

Formulas: V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", 2016; the ceil rule is
PyTorch's, `same` is Keras's (the extra pixel at the bottom and right).
"""

from __future__ import annotations

from cnntool.errors import CnntoolError
from cnntool.kernels.arguments import Pair, Sides, Window

Shape = tuple[int, int, int]  # height, width, channels


def same_padding(size: int, kernel: int, stride: int, dilation: int) -> Pair:
    """Padding before and after for an output of `ceil(size / stride)`."""
    outputs = -(-size // stride)
    total = max(0, (outputs - 1) * stride + dilation * (kernel - 1) + 1 - size)
    return total // 2, total - total // 2


def place_window(padding: Sides | str, size: Pair, kernel_size: Pair, stride: Pair, dilation: Pair) -> Window:
    """The window on an input of `size`, with `same` and `valid` resolved to numbers."""
    if padding == "valid":
        sides: Sides = (0, 0, 0, 0)
    elif padding == "same":
        (top, bottom), (left, right) = map(same_padding, size, kernel_size, stride, dilation)
        sides = top, left, bottom, right
    else:
        assert not isinstance(padding, str)
        sides = padding
    return Window(kernel_size, stride, dilation, sides)


def output_size(window: Window, size: Pair, ceil: bool = False) -> Pair:
    """The number of positions of the window on an input of `size`; a CnntoolError if there is none."""
    heights = positions(size[0], window.extent[0], window.stride[0], window.padding[0], window.padding[2], ceil)
    widths = positions(size[1], window.extent[1], window.stride[1], window.padding[1], window.padding[3], ceil)
    if heights < 1 or widths < 1:
        raise CnntoolError(_does_not_fit(window, size))
    return heights, widths


def positions(size: int, extent: int, stride: int, before: int, after: int, ceil: bool) -> int:
    """The number of positions along one axis, below 1 if the window does not fit."""
    room = size + before + after - extent
    if not ceil:
        return room // stride + 1 if room >= 0 else 0
    outputs = -(-room // stride) + 1
    # PyTorch's rule: the last window must start inside the input or the padding before it
    return outputs - 1 if (outputs - 1) * stride >= size + before else outputs


def _does_not_fit(window: Window, size: Pair) -> str:
    (height, width), (top, left, bottom, right) = window.extent, window.padding
    kernel = f"kernel {window.kernel_size[0]}x{window.kernel_size[1]}"
    if window.dilation != (1, 1):
        kernel += f" with dilation {window.dilation[0]}x{window.dilation[1]} spans {height}x{width} and"
    padded = (size[0] + top + bottom, size[1] + left + right)
    around = "" if padded == size else f" ({padded[0]}x{padded[1]} with padding)"
    largest = [(p - 1) // d + 1 for p, d in zip(padded, window.dilation, strict=True)]
    needed = max(0, height - size[0]), max(0, width - size[1])
    return (
        f"{kernel} does not fit into the input of {size[0]}x{size[1]}{around}: expected a kernel of at most "
        f"{largest[0]}x{largest[1]}, or padding of at least {-(-needed[0] // 2)}x{-(-needed[1] // 2)} a side, "
        f"such as --padding same"
    )


def counted_sizes(size: int, kernel: int, stride: int, dilation: int, before: int, after: int, outputs: int,
                  count_padding: bool) -> list[int]:  # fmt: skip
    """For each output along one axis, the number of window elements that an average divides by.

    Without padding: those inside the input. With padding: those inside the padded input (PyTorch's rule; it differs
    from the full window only if `ceil` lets a window extend beyond the padding).
    """
    low, high = (-before, size + after) if count_padding else (0, size)

    def elements_before(element: int, start: int) -> int:
        """How many elements of the window that begins at `start` lie before position `element`."""
        return min(kernel, max(0, -(-(element - start) // dilation)))

    starts = (o * stride - before for o in range(outputs))
    return [elements_before(high, start) - elements_before(low, start) for start in starts]
