"""The contenders: each makes a network ready, in its own best layout, and gives a call to measure.

A library that is not installed is left out. All get the same threads, and the same float32: OpenVINO would compute in
bfloat16 where the processor can, and is told not to.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tests.benchmarks.graph import Network, hwc, nchw


class CannotRun(Exception):
    """A peer has no layer that a network needs."""


class Contender(NamedTuple):
    """A call to measure, and how its result becomes a volume H x W x C."""

    call: Callable[[], Any]
    volume: Callable[[Any], np.ndarray]


def ours(network: Network, threads: int) -> Contender:
    return Contender(lambda: network.pipeline.run(network.input, threads), np.asarray)


def torch_peer(layout: str) -> Callable[[Network, int], Contender]:
    def prepare(network: Network, threads: int) -> Contender:
        import torch

        from tests.benchmarks import torch_network

        torch.set_num_threads(threads)
        call = torch_network.prepare(network, getattr(torch, layout), torch.float32)
        return Contender(call, torch_network.volume)

    return prepare


def onnxruntime_peer(network: Network, threads: int) -> Contender:
    """With input and output bound, so that neither is copied. Idle threads that spin would slow all others."""
    import onnxruntime

    from tests.benchmarks.onnx_network import model_of

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(model_of(network), options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    x = onnxruntime.OrtValue.ortvalue_from_numpy(nchw(network.input))
    shape = session.run(None, {"x": nchw(network.input)})[0].shape
    y = onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, np.float32)
    binding.bind_ortvalue_input("x", x)
    binding.bind_ortvalue_output("y", y)
    return Contender(lambda: session.run_with_iobinding(binding), lambda _: hwc(y.numpy()))


def openvino_peer(layout: str) -> Callable[[Network, int], Contender]:
    """`layout`: of input and output, from which OpenVINO makes its own."""

    def prepare(network: Network, threads: int) -> Contender:
        import openvino

        from tests.benchmarks.onnx_network import model_of

        core = openvino.Core()
        model = core.read_model(model_of(network))
        last = layout == "nhwc"
        if last:
            steps = openvino.preprocess.PrePostProcessor(model)
            steps.input().tensor().set_layout(openvino.Layout("NHWC"))
            steps.input().model().set_layout(openvino.Layout("NCHW"))
            if len(model.output().partial_shape) == 4:
                steps.output().model().set_layout(openvino.Layout("NCHW"))
                steps.output().tensor().set_layout(openvino.Layout("NHWC"))
            model = steps.build()
        settings = {
            "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32",
        }  # fmt: skip
        request = core.compile_model(model, "CPU", settings).create_infer_request()
        x = np.ascontiguousarray(network.input[None]) if last else nchw(network.input)
        request.set_input_tensor(openvino.Tensor(x, shared_memory=True))

        def call() -> None:
            assert x.size  # the request reads it in place and does not keep it alive
            request.infer()

        def volume(_: Any) -> np.ndarray:
            output = request.get_output_tensor().data
            return output[0] if last and output.ndim == 4 else hwc(output)

        return Contender(call, volume)

    return prepare


def ncnn_peer(network: Network, threads: int) -> Contender:
    """float32 as the others; the threads sleep between calls, for they would slow all others."""
    import ncnn

    from tests.benchmarks.ncnn_network import files_of

    net = ncnn.Net()
    options = net.opt
    options.num_threads, options.openmp_blocktime, options.use_vulkan_compute = threads, 0, False
    for name in dir(options):
        if "fp16" in name or "bf16" in name:
            setattr(options, name, False)
    param, weights = files_of(network)
    if net.load_param(str(param)) or net.load_model(str(weights)):
        raise CannotRun("it has no such layer")
    array = nchw(network.input)[0]
    x = ncnn.Mat(array).clone()  # a Mat of an array does not keep the array alive

    def call() -> Any:
        with net.create_extractor() as extractor:
            extractor.input("in0", x)
            return extractor.extract("out0")[1]

    def volume(output: Any) -> np.ndarray:
        array = np.array(output)
        return array.transpose(1, 2, 0) if array.ndim == 3 else array.reshape(1, 1, -1)

    return Contender(call, volume)


def only_bank(network: Network) -> np.ndarray:
    """The filters, number x height x width, of a network that is one bank on one channel."""
    (node,) = network.nodes
    return node.arrays["weight"][:, 0]


def opencv_peer(network: Network, threads: int) -> Contender:
    """filter2D for each filter; it multiplies spectra itself where filters are large."""
    import cv2

    cv2.setNumThreads(threads)
    image = np.ascontiguousarray(network.input[:, :, 0])
    filters = [np.ascontiguousarray(plane) for plane in only_bank(network)]

    def call() -> list[np.ndarray]:
        return [cv2.filter2D(image, cv2.CV_32F, plane, borderType=cv2.BORDER_CONSTANT) for plane in filters]

    return Contender(call, lambda maps: np.stack(maps, axis=-1))


def scipy_fft_peer(network: Network, threads: int) -> Contender:
    """One transform of the image, products with spectra that are there, and transforms back."""
    import scipy.fft

    image, filters = network.input[:, :, 0], only_bank(network)
    (height, width), (kh, kw) = image.shape, filters.shape[1:]
    size = [scipy.fft.next_fast_len(a + b - 1, real=True) for a, b in ((height, kh), (width, kw))]
    spectra = scipy.fft.rfft2(filters[:, ::-1, ::-1], size)

    def call() -> np.ndarray:
        products = spectra * scipy.fft.rfft2(image, size, workers=threads)
        full = scipy.fft.irfft2(products, size, workers=threads, overwrite_x=True)
        return full[:, kh // 2 : kh // 2 + height, kw // 2 : kw // 2 + width]

    return Contender(call, lambda maps: np.moveaxis(maps, 0, -1))


def scipy_tiles_peer(network: Network, threads: int) -> Contender:
    import scipy.fft
    import scipy.signal

    image = network.input[None, :, :, 0]
    (height, width), (kh, kw) = image.shape[1:], only_bank(network).shape[1:]
    flipped = np.ascontiguousarray(only_bank(network)[:, ::-1, ::-1])

    def call() -> np.ndarray:
        with scipy.fft.set_workers(threads):
            full = scipy.signal.oaconvolve(image, flipped, axes=(1, 2))
        return full[:, kh // 2 : kh // 2 + height, kw // 2 : kw // 2 + width]

    return Contender(call, lambda maps: np.moveaxis(maps, 0, -1))


PEERS: dict[str, tuple[str, Callable[[Network, int], Contender]]] = {
    "torch": ("torch", torch_peer("contiguous_format")),
    "torch nhwc": ("torch", torch_peer("channels_last")),
    "onnxruntime": ("onnxruntime", onnxruntime_peer),
    "openvino": ("openvino", openvino_peer("nchw")),
    "openvino nhwc": ("openvino", openvino_peer("nhwc")),
    "ncnn": ("ncnn", ncnn_peer),
    "opencv": ("cv2", opencv_peer),
    "scipy fft": ("scipy", scipy_fft_peer),
    "scipy oaconvolve": ("scipy", scipy_tiles_peer),
}
NEEDS = {"onnxruntime": ("onnx",), "openvino": ("onnx",), "ncnn": ("onnx", "pnnx")}


def missing() -> dict[str, str]:
    """Peers that cannot take part, and the package that each lacks."""
    found = {}
    for name, (module, _) in PEERS.items():
        for needed in (module, *NEEDS.get(module, ())):
            if importlib.util.find_spec(needed) is None:
                found[name] = needed
    return found


def reference(network: Network) -> np.ndarray | None:
    """The output in float64: of a bank by Fourier transforms, which err by about 1e-16, else by torch."""
    if "opencv" in network.case.peers:
        if importlib.util.find_spec("scipy") is None:
            return None
        import scipy.signal

        image, filters = network.input[:, :, 0].astype(np.float64), only_bank(network).astype(np.float64)
        maps = [scipy.signal.fftconvolve(image, plane[::-1, ::-1], mode="same") for plane in filters]
        return np.stack(maps, axis=-1)
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    from tests.benchmarks import torch_network

    return torch_network.volume(torch_network.prepare(network, torch.contiguous_format, torch.float64)())
