"""`cnntool train`: trains a classifier, one sub-folder a class."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnntool.cli.fit import check_output
from cnntool.cli.groups import command_line
from cnntool.cli.options import (
    CHAIN,
    ChainCommand,
    chain_options,
    column_options,
    columns_of,
    image_options,
    labels_option,
    options,
    outputs_beside,
    pipeline_of,
    preparation_of,
    quiet_option,
    refuse_layer_as_output,
    threads_option,
    value_option,
)
from cnntool.cli.signals import exit_code
from cnntool.cli.streams import tell
from cnntool.declare import Choice, Integer, Real, help_of
from cnntool.errors import BadInput, CnntoolError
from cnntool.files import outputs, removed
from cnntool.learning.optimisers import OPTIMISERS, SCHEDULES

if TYPE_CHECKING:
    from cnntool.cli.work import Notices
    from cnntool.learning.train import Trainer
    from cnntool.pipeline import Pipeline

DECAYS = ", ".join(f"{kind.default_decay:g} for {name}" for name, kind in OPTIMISERS.items())
RATES = ", ".join(f"{kind.default_rate:g} for {name}" for name, kind in OPTIMISERS.items())
RATE = Real(0, open_below=True)
SHARE = Real(0, 1, open_above=True)
NOT_FOR_TABLES = (
    *("epochs", "batch_size", "optimizer", "rate", "momentum", "weight_decay", "l1", "schedule", "warmup", "augment"),
    *("class_weights", "labels_file", "path_column", "label_column", "early_stop", "resume", "curves", "until"),
    *("gray", "rgb", "resize", "crop", "normalize", "max_pixels"),
)
STRENGTH = Real(0)


def _augmentation(text: str) -> tuple[str, ...]:
    from cnntool.learning.augmentation import parse_augmentation

    return parse_augmentation(text)


def _class_weights(text: str) -> str:
    from cnntool.images.names import composed
    from cnntool.learning.train import parse_class_weights

    text = composed(text)  # as the names of classes are
    if text not in ("", "balanced"):
        parse_class_weights(text)
    return text


training_options = options(
    value_option("--epochs", parse=Integer(1), default=10, help="How often all images are gone through."),
    value_option("--batch-size", parse=Integer(1), default=64,
                 help="Images a step, at most; all steps of an epoch take nearly equally many."),
    click.option("--optimizer", type=click.Choice(list(OPTIMISERS)), default="adam", show_default=True,
                 help=" ".join(f"{name}: {help_of(kind)}" for name, kind in OPTIMISERS.items())),
    value_option("--lr", "rate", parse=RATE, metavar="X", help=f"Learning rate. Default: {RATES}."),
    value_option("--momentum", parse=SHARE, metavar="X", default=0.9, help="Of sgd."),
    value_option("--weight-decay", parse=STRENGTH, metavar="X",
                 help="Draws weights to zero, but no biases, slopes and scales: sgd adds X times the weight to its "
                 "gradient, adam takes X times the rate of the weight away. Default: " + DECAYS + "."),
    value_option("--l1", parse=STRENGTH, metavar="X", default=0.0, help="L1: X times the weight's sign."),
    click.option("--schedule", type=click.Choice(list(SCHEDULES)), default="cosine", show_default=True,
                 help="How the rate falls; step divides it by 10 at a half and three quarters."),
    value_option("--warmup", parse=SHARE, metavar="X", default=0.05,
                 help="Share of all steps over which the rate first rises from zero."),
    value_option("--validation", parse=SHARE, metavar="X", default=0.05,
                 help="Share of each class that is held back, to choose the best epoch by."),
    value_option("--augment", parse=_augmentation, metavar="NAMES", default="", show_default=False,
                 help="flip, vflip, crop, shift, erase, separated by commas: random changes of each image."),
    value_option("--class-weights", parse=_class_weights, metavar="balanced|NAME=X,...", default="", show_default=False,
                 help="How much an image of each class counts; balanced: all classes the same, however many images."),
    value_option("--early-stop", parse=Integer(0), default=0, show_default=False,
                 help="Stop after N epochs without a better one."),
    click.option("--resume", is_flag=True, help="Go on from the checkpoint that a stopped run left."),
    click.option("--curves", metavar="FILE", help="A picture of loss and accuracy (needs the extra plots)."),
    value_option("--head", parse=Choice("logistic", "l2svm"), metavar="logistic|l2svm",
                 help="For a table: the kind of linear classifier. Default: l2svm."),
    value_option("--c", parse=RATE, metavar="X", help="For a table: how much errors weigh against large weights."),
)  # fmt: skip


@click.command(cls=ChainCommand, name="train")
@click.argument("folder", metavar="FOLDER|TABLE")
@click.argument("target", metavar="MODEL")
@labels_option
@training_options
@chain_options
@image_options
@column_options
@click.option("--overwrite", is_flag=True, help="Replace a model that is there.")
@threads_option
@quiet_option
def command(folder: str, target: str, **values: Any) -> int:
    """Train a classifier of images, one sub-folder a class.

    \b
    cnntool train photos/ m.npz --resize 28x28 conv 16 3 relu maxpool 2 fc 10
    cnntool train photos/ m.npz --augment flip,crop --epochs 30 -p network.cnn
    cnntool train features.npz m.npz --head l2svm --c 100

    FOLDER holds one folder a class, or is an archive of them, or a .csv or .parquet with columns of paths and labels;
    --labels names the classes otherwise. All images must have one size. The last layer gives one number a class; the
    loss is cross-entropy after a softmax, and a `softmax` at the end is left out while training. TABLE is a .npz that
    `extract --labels` wrote: then there are no layers, and a linear classifier is trained on its features.

    MODEL holds the best epoch by the images held back. Beside it lie MODEL.history.csv, a line an epoch, and while it
    trains MODEL.checkpoint.npz. Ctrl-C keeps what there is; the same command with --resume then goes on, and reaches
    the very result of a run that was not stopped.
    """
    refuse_layer_as_output(target)
    curves, overwrite = values["curves"], values["overwrite"]
    if curves is not None:
        from cnntool.pictures.figures import check_picture

        check_picture("--curves", curves)
    check_output(target)
    head, c = values.pop("head"), values.pop("c")
    if folder.lower().endswith(".npz"):
        if curves is not None or values["resume"]:
            raise CnntoolError(
                "--curves and --resume are for epochs, and a table is trained on without: leave them out"
            )
        with outputs(target, overwrite=overwrite):
            return train_table(folder, target, head or "l2svm", c, values)
    if head is not None or c is not None:
        raise CnntoolError(f"--head and --c train on a table: expected a .npz of features, not {folder}")
    pipeline = pipeline_of(**{name: values[name] for name in CHAIN})
    checkpoint = checked_checkpoint(target, values["resume"], overwrite)
    with (
        outputs(target, history_path(target), checkpoint, overwrite=overwrite or values["resume"]),
        outputs(curves, overwrite=overwrite),
    ):
        return train_images(pipeline, folder, target, values)


def checked_checkpoint(model: str, resume: bool, overwrite: bool) -> Path:
    """The path of the checkpoint, which must exist with --resume, and must not without."""
    from cnntool.learning.checkpoint import check_there, checkpoint_path

    checkpoint = checkpoint_path(model)
    if resume:
        check_there(checkpoint)
    elif os.path.lexists(checkpoint) and not overwrite:
        raise CnntoolError(
            f"{checkpoint} is there already, of a run that was stopped: give --resume to go on, or --overwrite"
        )
    return checkpoint


def history_path(model: str) -> Path:
    return Path(model).with_suffix(".history.csv")


def train_images(pipeline: Pipeline, folder: str, model: str, values: dict[str, Any]) -> int:
    """Reads, trains, saves; the exit code."""
    from cnntool.cli.labelled import read_labelled
    from cnntool.cli.work import Notices
    from cnntool.engine.threads import available_threads
    from cnntool.images.preparation import to_json
    from cnntool.images.sources import open_source
    from cnntool.learning.checkpoint import checkpoint_path, read_checkpoint
    from cnntool.learning.train import Options, Trainer, check_classes

    notices = Notices(values.pop("quiet"), False)
    threads = values["threads"] or available_threads()
    preparation = preparation_of(values, pipeline)
    chosen = Options(**{name: values[name] for name in Options.__dataclass_fields__})
    with open_source(
        folder,
        labels=True,
        labels_file=values["labels_file"],
        columns=columns_of(values),
        outputs=outputs_beside(model, values["curves"]),
    ) as source:
        notices.source(source, labels=True)
        pipeline.classes = source.labels
        if len(pipeline.classes) < 2:
            raise CnntoolError(
                f"{values['labels_file'] or folder}: one class only: expected two or more sub-folders of images, or "
                "labels in --labels"
            )
        _, shape = source.first_shape(preparation)
        pipeline.input_shape = shape
        check_classes(pipeline.graph, shape, pipeline.classes)
        arrays = pipeline.weights(shape)
        images, labels, failures = read_labelled(source, pipeline.classes, shape, preparation, threads, notices)
    pipeline.preparation = to_json(preparation.fixed_to(shape[2]))
    missing = [name for number, name in enumerate(pipeline.classes) if number not in labels]
    if missing:
        raise BadInput(
            f"{folder}: no image of the class {missing[0]!r} can be read: mend its images or remove the folder"
        )
    trainer = Trainer(pipeline.graph, arrays, images, labels, chosen, threads, pipeline.classes)
    if chosen.validation and not len(trainer.held):
        notices.say(f"--validation {chosen.validation:g} holds nothing back, since every class has one image only")
    if values["resume"]:
        read_checkpoint(checkpoint_path(model), trainer)
    with notices.watching_compiler():
        stopped = train(trainer, pipeline, model, notices)
    if values["curves"]:
        from cnntool.pictures.training import draw_curves

        draw_curves(values["curves"], trainer.history, command_line())
    return stopped or (1 if failures else 0)


def train(trainer: Trainer, pipeline: Pipeline, model: str, notices: Notices) -> int:
    """Trains with a display and saves after each epoch; returns 0, or the exit code of an interrupt."""
    from cnntool.cli.watch import Watch, write_history
    from cnntool.learning.checkpoint import checkpoint_path, write_checkpoint

    checkpoint, history = checkpoint_path(model), history_path(model)
    kept = len(trainer.history)  # epochs of the checkpoint

    def finished(best: bool) -> None:
        nonlocal kept
        write_history(history, trainer.history)
        if best and trainer.best is not None:
            save(pipeline, trainer.best, model)
        write_checkpoint(checkpoint, trainer)
        kept = len(trainer.history)

    if not trainer.history:
        write_checkpoint(checkpoint, trainer)  # so that --resume also works after an interrupt in the first epoch
    try:
        with Watch(trainer.options.epochs, len(trainer.history), notices) as watch:
            trainer.run(watch, finished)
    except KeyboardInterrupt as error:
        save(pipeline, trainer.best or trainer.arrays, model)
        held = f"epoch {trainer.best_epoch}" if trainer.best else "the arrays of that moment"
        going_on = f"after epoch {kept}" if kept else "from the start"
        tell(f"cnntool train: interrupted; {model} holds {held}; --resume goes on {going_on}")
        return exit_code(error)
    except CnntoolError as error:
        if not kept:
            removed(checkpoint)  # a run from the start would fail in the same way
        if not (kept and trainer.best and isinstance(error, BadInput)):
            raise
        raise BadInput(f"{error}; {model} holds epoch {trainer.best_epoch}") from None
    removed(checkpoint)
    row = trainer.history[trainer.best_epoch - 1]
    kind = "validation_accuracy" if "validation_accuracy" in row else "accuracy"
    notices.say(f"{model} holds epoch {trainer.best_epoch}, {kind.replace('_', ' ')} {row[kind]:.2%}")
    return 0


def save(pipeline: Pipeline, arrays: list[dict[str, Any]], model: str) -> None:
    pipeline.set_weights([dict(node) for node in arrays])
    pipeline.save(model)


def train_table(table: str, model: str, head: str, c: float | None, values: dict[str, Any]) -> int:
    """Trains a linear classifier on features that `extract --labels` wrote."""
    from cnntool.cli.work import Notices
    from cnntool.learning.linear import train_head

    if values["words"] or values["pipeline_file"] or values["model"]:
        raise CnntoolError(f"{table} is a table: a linear classifier is trained on it, without layers")
    refuse_given(table, NOT_FOR_TABLES)
    notices = Notices(values["quiet"], False)
    given: dict[str, Any] = {} if c is None else {"c": c}
    validation = values["validation"] if was_given("validation") else 0.0
    found = train_head(
        table, model, head=head, validation=validation, seed=values["seed"], threads=values["threads"], **given
    )
    text = f"{model}: {len(found['classes'])} classes, {found['rows']} rows, accuracy {found['accuracy']:.2%}"
    if found["validation_accuracy"] is not None:
        text += f", on the rows held back {found['validation_accuracy']:.2%}"
    notices.say(text)
    return 0


def refuse_given(table: str, names: tuple[str, ...]) -> None:
    """Refuses options that would have no effect."""
    for parameter in click.get_current_context().command.params:
        if parameter.name in names and was_given(parameter.name):
            raise CnntoolError(
                f"{parameter.opts[0]} is for training on images, and {table} is a table: expected --head, --c, --seed "
                "and --validation"
            )


def was_given(name: str) -> bool:
    source = click.get_current_context().get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
