"""Known networks as words of a chain."""

from __future__ import annotations

LENET = "conv 6 5 tanh avgpool 2 conv 16 5 tanh avgpool 2 fc 120 tanh fc 84 tanh fc 10"

ALEXNET_FEATURES = (
    "conv 64 11 --stride 4 --padding 2 relu maxpool 3 --stride 2 conv 192 5 --padding 2 relu maxpool 3 --stride 2 "
    "conv 384 3 --padding 1 relu conv 256 3 --padding 1 relu conv 256 3 --padding 1 relu maxpool 3 --stride 2"
)
ALEXNET = ALEXNET_FEATURES + " dropout 0.5 fc 4096 relu dropout 0.5 fc 4096 relu fc 1000"


def vgg(*numbers: int) -> str:
    """The convolutions of VGG, `numbers` of them before each of the five pools."""
    blocks = zip(numbers, (64, 128, 256, 512, 512), strict=True)
    return " ".join(f"{f'conv {channels} 3 --padding 1 relu ' * number}maxpool 2" for number, channels in blocks)


VGG_HEAD = " fc 4096 relu dropout 0.5 fc 4096 relu dropout 0.5 fc 1000"


def squeezenet() -> str:
    def fire(squeezed: int, expanded: int) -> str:
        return (
            f"conv {squeezed} 1 relu mark s conv {expanded} 1 relu mark a "
            f"from s conv {expanded} 3 --padding 1 relu mark b from a concat b"
        )

    pool = "maxpool 3 --stride 2 --ceil"
    first = [fire(16, 64), fire(16, 64), fire(32, 128)]
    second = [fire(32, 128), fire(48, 192), fire(48, 192), fire(64, 256)]
    last = [fire(64, 256), "dropout 0.5 conv 1000 1 relu globalpool avg"]
    return " ".join(["conv 96 7 --stride 2 relu", pool, *first, pool, *second, pool, *last])


def mobilenet() -> str:
    words = ["conv 32 3 --stride 2 --padding 1 --no-bias batchnorm relu"]
    channels = 32
    for out, stride in [
        (64, 1),
        (128, 2),
        (128, 1),
        (256, 2),
        (256, 1),
        (512, 2),
        *[(512, 1)] * 5,
        (1024, 2),
        (1024, 1),
    ]:
        words.append(f"conv {channels} 3 --stride {stride} --padding 1 --groups {channels} --no-bias batchnorm relu")
        words.append(f"conv {out} 1 --no-bias batchnorm relu")
        channels = out
    return " ".join(words)


RESNET_STEM = "conv 64 7 --stride 2 --padding 3 --no-bias batchnorm relu maxpool 3 --stride 2 --padding 1"
HEAD = " globalpool avg fc 1000"


def resnet_basic(*numbers: int) -> str:
    """ResNet-18 and -34 without their head."""
    words, channels = [RESNET_STEM], 64
    for stage, number in enumerate(numbers):
        out = 64 << stage
        for block in range(number):
            stride = 2 if stage and not block else 1
            body = (
                f"conv {out} 3 --stride {stride} --padding 1 --no-bias batchnorm relu "
                f"conv {out} 3 --padding 1 --no-bias batchnorm"
            )
            words.append(residual(body, channels, out, stride))
            channels = out
    return " ".join(words)


def resnet_bottleneck(*numbers: int, stride_first: bool = False) -> str:
    """ResNet-50 and deeper without their head; `stride_first`: on the first 1x1, as in the paper."""
    words, channels = [RESNET_STEM], 64
    for stage, number in enumerate(numbers):
        width = 64 << stage
        for block in range(number):
            stride = 2 if stage and not block else 1
            first, middle = (stride, 1) if stride_first else (1, stride)
            body = (
                f"conv {width} 1 --stride {first} --no-bias batchnorm relu "
                f"conv {width} 3 --stride {middle} --padding 1 --no-bias batchnorm relu "
                f"conv {4 * width} 1 --no-bias batchnorm"
            )
            words.append(residual(body, channels, 4 * width, stride))
            channels = 4 * width
    return " ".join(words)


def residual(body: str, channels: int, out: int, stride: int) -> str:
    if channels == out and stride == 1:
        return f"mark x {body} add x relu"
    return f"mark x conv {out} 1 --stride {stride} --no-bias batchnorm mark s from x {body} add s relu"
