"""The Python interface: parses the words of a chain and runs it on arrays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from cnntool.errors import BadInput, CnntoolError
from cnntool.late import np
from cnntool.layers.base import Arrays, Layer
from cnntool.network.graph import connect, named
from cnntool.network.parameters import Parameters
from cnntool.network.summary import summarise

if TYPE_CHECKING:
    from cnntool.engine.plan import Plan
    from cnntool.engine.plans import PlanCache


class Pipeline:
    """A network of layers with its parameters.

    >>> pipeline = Pipeline.parse("conv 64 3 --padding same relu maxpool 2")
    >>> pipeline.shape((224, 224, 3))["totals"]["parameters"]
    1792
    """

    def __init__(self, layers: Sequence[Layer], *, seed: int = 0, saved: list[Arrays] | None = None) -> None:
        """`layers` in the order of the words, with `mark` and `from`. `seed` draws what no file gives."""
        self.layers = list(layers)
        self.seed = seed
        self.algorithm = "auto"
        self.graph = connect(self.layers)
        self.parameters = Parameters(self.graph, seed, saved)
        self.input_shape: tuple[int, int, int] | None = None  # that it was fitted to, or planned for first
        self.classes: list[str] = []  # of a classifier, in the order of its outputs
        self.preparation: dict[str, Any] = {}  # of images at the shell: images.preparation as JSON
        self._plans: PlanCache | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without plans, which hold addresses of this process."""
        return self.__dict__ | {"_plans": None}

    @classmethod
    def parse(cls, words: str | Sequence[str], *, seed: int = 0) -> Pipeline:
        """The pipeline of the words of the command line, as a string or a list; a CnntoolError says what is wrong.

        File names are relative to the current folder.
        """
        from cnntool.chain.grammar import parse_words
        from cnntool.chain.text import split_text

        return cls(
            parse_words(split_text(words) if isinstance(words, str) else [str(word) for word in words]), seed=seed
        )

    @classmethod
    def read(cls, path: str | Path, *, seed: int = 0) -> Pipeline:
        """The pipeline of a file of words; file names in it are relative to that file."""
        from cnntool.chain.text import parse_file

        return cls(parse_file(path), seed=seed)

    @classmethod
    def load(cls, path: str | Path) -> Pipeline:
        """The pipeline of a saved model, with its arrays; a CnntoolError for a file that is damaged or no model.

        Nothing in the file can run code; arrays are read only if all declarations are consistent.
        """
        from cnntool.chain.grammar import parse_words
        from cnntool.models.saving import open_model

        with open_model(path) as model:
            layers = parse_words(model.head.words, base=None)
            pipeline = cls(layers, saved=model.arrays(connect(layers)))
            pipeline.input_shape = model.head.input_shape
            pipeline.classes, pipeline.preparation = model.head.classes, model.head.preparation
        return pipeline

    def save(self, path: str | Path) -> None:
        """Writes layers and arrays to a `.npz` or `.safetensors`, atomically.

        Shapes of arrays depend on `input_shape`, which is set by `fit`, the first `run`, or the caller.
        """
        from cnntool.models.saving import Head, layers_of_rows, save_model, words_without_files

        self.require_layers()
        if self.input_shape is None:
            raise CnntoolError("no input shape is known yet: run or fit the pipeline first, or set its `input_shape`")
        layers = layers_of_rows(self.layers, self.graph.output + 1)
        head = Head(words_without_files(layers), self.input_shape, self.classes, self.preparation)
        arrays = self.weights(self.input_shape)[: self.graph.output + 1]
        save_model(path, head, arrays)

    def fit(self, volumes: Sequence[np.ndarray], threads: int | None = None) -> Pipeline:
        """Learns everything that comes from data, layer by layer and without labels; returns the pipeline itself.

        `volumes`: a batch N x H x W x C, or a sequence of volumes H x W x C; each such layer takes one pass over them.
        """
        from cnntool.engine.threads import available_threads
        from cnntool.learning.fit import Volumes, fit

        threads = threads or available_threads()
        data = Volumes(volumes if hasattr(volumes, "__getitem__") else list(volumes), threads)
        if not len(data):
            raise CnntoolError("no volumes to learn from: expected at least one")
        self.input_shape = checked_shape(next(iter(data)).shape)
        self.set_weights(fit(self.graph, self.parameters, self.input_shape, data, threads))
        return self

    def require_layers(self) -> None:
        """Raises CnntoolError if the output is the input itself: such a pipeline runs, but there is nothing to save."""
        if not self.graph.needed():
            raise CnntoolError(
                "the output is the input itself, so there is nothing to learn or to save: expected a layer on the way "
                "to the output"
            )

    def require_fitted(self) -> None:
        """Raises CnntoolError if a layer needs `fit` first."""
        for number in self.graph.needed():
            layer = self.graph.nodes[number].layer
            if layer.needs_data and not (self.parameters.saved and self.parameters.saved[number]):
                with named(layer, number):
                    raise CnntoolError(layer.needs_data)

    def until(self, stop: str) -> Pipeline:
        """The pipeline with the same parameters that ends at a row (counted from 1) or a mark."""
        shorter = object.__new__(Pipeline)
        shorter.__dict__.update(self.__dict__, graph=self.graph.until(stop), _plans=None)
        return shorter

    def shape(self, input_shape: tuple[int, int, int], **options: Any) -> dict[str, Any]:
        """The object of `cnntool shape --json` for an input of (height, width, channels).

        Options: `convention`, `without_sharing`, `as_fc`, as `network.summary.summarise` explains them.
        """
        return summarise(self.graph, checked_shape(input_shape), **options)

    def weights(self, input_shape: tuple[int, int, int]) -> list[Arrays]:
        """The arrays of each layer for an input of (height, width, channels), without statistics computed from each
        image."""
        shapes = self.graph.shapes(checked_shape(input_shape))
        needed = set(self.graph.needed())
        return [
            self.parameters.of(number, shapes[node.inputs[0]]) if number in needed else {}
            for number, node in enumerate(self.graph.nodes)
        ]

    def drawn_shapes(self, input_shape: tuple[int, int, int]) -> list[tuple[int, ...]]:
        """The shapes of all parameters that the seed draws, none for a saved model. Inputs with different shapes of
        parameters are computed with different weights."""
        if self.parameters.saved is not None:
            return []
        shapes = self.graph.shapes(checked_shape(input_shape))
        nodes = (self.graph.nodes[number] for number in self.graph.needed())
        return [shape for layer, inputs in nodes for shape in layer.parameter_shapes(shapes[inputs[0]]).values()]

    def set_weights(self, arrays: list[Arrays]) -> None:
        """Replaces the arrays of all layers; a missing bias is zero, other missing arrays come from the data."""
        if len(arrays) != len(self.graph.nodes):
            raise CnntoolError(f"expected the arrays of {len(self.graph.nodes)} layers, got {len(arrays)}")
        self.parameters = Parameters(self.graph, self.seed, arrays)
        self._plans = None

    def run(self, volume: np.ndarray, threads: int | None = None) -> np.ndarray:
        """The last layer's output, float32, for a volume H x W x C or a batch N x H x W x C (H x W is one channel).

        Other real types are converted to float32. `threads`: one a processor by default; the result does not depend on
        it. Plans are cached by shape, so a second call only computes.
        """
        from cnntool.engine.threads import available_threads

        array = np.asarray(volume)
        if array.dtype.kind not in "fiub":
            raise BadInput(f"a volume of {array.dtype} cannot be computed with: expected real numbers, such as float32")
        if array.ndim == 2:
            array = array[:, :, None]
        if array.ndim not in (3, 4):
            raise BadInput(f"expected a volume H x W x C or N x H x W x C, got {array.ndim} dimensions")
        batch = np.ascontiguousarray(array if array.ndim == 4 else array[None], np.float32)
        if not len(batch):
            raise BadInput("the batch is empty: expected at least one volume")
        plan = self.plan(batch.shape[1:])
        result = plan.run(batch, available_threads() if threads is None else max(1, threads))
        return result if array.ndim == 4 else result[0]

    def use_algorithm(self, name: str) -> None:
        """Forces an algorithm for all convolutions that support it; `auto` chooses the fastest for each."""
        from cnntool.algorithms import check_name

        self.algorithm = check_name(name)
        self._plans = None

    def stream_plan(self, input_shape: tuple[int, ...]) -> Plan | None:
        """A plan for `engine.stream`, whose volumes need not fit into memory; None if the whole image is needed.

        That is so for statistics of the image itself, global pools, full connections and branches.
        """
        from cnntool.engine.plan import Plan
        from cnntool.engine.stream import can_stream

        shape = checked_shape(input_shape)
        for algorithm in (self.algorithm, "direct"):  # the tiles of an algorithm may not line up; direct has none
            plan = Plan(self.graph, self.parameters, shape, algorithm, one_run=True)
            if can_stream(plan):
                return plan
        return None

    def plan(self, input_shape: tuple[int, ...]) -> Plan:
        """The cached plan for an input of (height, width, channels)."""
        from cnntool.engine.plans import PlanCache

        if self._plans is None:
            self._plans = PlanCache(self.graph, self.parameters, self.algorithm)
        plan = self._plans.plan(input_shape if _is_shape(input_shape) else checked_shape(input_shape))
        self.input_shape = self.input_shape or plan.input_shape
        return plan


def load(path: str | Path) -> Pipeline:
    """The pipeline of a saved model; a CnntoolError for a file that is damaged, or no model."""
    return Pipeline.load(path)


def _is_shape(shape: Any) -> TypeGuard[tuple[int, int, int]]:
    return type(shape) is tuple and len(shape) == 3 and min(shape) > 0


def checked_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    if len(shape) != 3 or any(size < 1 for size in shape):
        raise CnntoolError(f"{tuple(shape)} is not a shape: expected (height, width, channels) of at least 1 each")
    height, width, channels = (int(size) for size in shape)
    return height, width, channels
