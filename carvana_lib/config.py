"""Every parameter of the course: its type, range, unit, meaning and default, in one place.

The notebooks' parameters cells, `notebooks/params/`, the command line and the README follow it; tests see to that.
"""

import difflib
import reprlib
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from carvana_lib import ParameterError
from carvana_lib.frame import Frame

PLACE = {"data_dir", "device", "num_workers", "num_processes"}  # where a run computes
HINTS = {}  # what people type in place of a parameter's name -> what to tell them; the course fills it
FREE = PLACE | {"run_name", "resume", "strict", "flip", "tracker"}  # what may differ where two learn the same net


class Params(BaseModel):
    """All parameters of a run. The defaults are the quick tier: the rendered sample on two CPU cores. Raises
    ParameterError for a name that does not exist and for a value of a wrong type or out of range. Taught in 01.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    data_dir: str = Field("sample", description="folder with train/, train_masks/, metadata.csv; relative to the repo")
    run_name: str = Field("quick", pattern=r"^\w[\w.-]*$", description="results go to runs/<run_name>/")
    seed: int = Field(0, ge=0, lt=2**31, description="governs split, shuffling, augmentation and initial weights")
    image_size: int | list[int] = Field(128, description="side of the square input, or [height, width]; pixels")
    resize: Literal["stretch", "pad"] = Field("stretch", description="pad: keep the photo's aspect ratio, add borders")
    base_channels: int = Field(16, ge=1, le=256, description="channels of the first U-Net stage; the last has 16 times")
    encoder: str = Field("none", description="lite0: pretrained on ImageNet; lite0-random; another of timm's")
    batch_size: int = Field(8, ge=1, description="images per step")
    epochs: int = Field(5, ge=1, description="passes over the training images")
    patience: int | None = Field(None, ge=1, description="stop after this many epochs without a new best; None: never")
    learning_rate: float | None = Field(None, gt=0, le=1, description="of AdamW; None: the winner of notebook 03")
    weight_decay: float = Field(1e-4, ge=0, le=1, description="of AdamW")
    grad_clip: float = Field(1.0, gt=0, description="largest norm of the gradient")
    loss: Literal["bce", "dice", "bce_dice"] | None = Field(None, description="None: the winner of notebook 03")
    scheduler: Literal["none", "step", "onecycle"] = Field(
        "none", description="step: StepLR, halved every 5 epochs; onecycle: a rise, then a long fall"
    )
    ema: float = Field(0.0, ge=0, lt=1, description="decay per step of the averaged weights; 0: no averaging")
    augment: Literal["none", "flip", "protocol"] = Field("protocol", description="protocol: all three of notebook 01")
    flip: bool = Field(False, description="average each prediction with that of the mirrored picture")
    val_fraction: float = Field(0.15, gt=0, lt=0.5, description="share of the cars kept for validation")
    test_fraction: float = Field(0.15, gt=0, lt=0.5, description="share of the cars kept for the test")
    folds: int | None = Field(None, ge=2, le=1000, description="divide the cars into this many test sets; None: one")
    fold: int | None = Field(None, ge=1, description="the test set of this run, 1 to folds; a batch takes each in turn")
    split_by: Literal["car", "image"] = Field("car", description="image: views of a test car leak into training")
    group_duplicates: bool = Field(False, description="keep cars with near-duplicates on one side of the split")
    train_cars: int | None = Field(None, ge=1, description="train on at most this many cars; None: all")
    subset: int | None = Field(None, ge=1, description="train on at most this many images; None: all")
    start_from: str | None = Field(None, description="run whose best weights training starts from; None: random ones")
    tuning_epochs: int = Field(1, ge=1, description="epochs per grid-search trial")
    tuning_subset: int | None = Field(1000, ge=1, description="at most this many training images per trial; None: all")
    precision: Literal["auto", "float32", "bf16", "fp16"] = Field("auto", description="auto: bf16 where it is fast")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="auto: a GPU if there is one")
    num_workers: int = Field(0, ge=0, le=64, description="loader processes; 0 suits the prepared cache")
    num_processes: int = Field(1, ge=1, le=1024, description="training processes; they share each batch")
    tracker: Literal["none", "tensorboard", "mlflow", "wandb"] = Field("none", description="also records each epoch")
    resume: bool = Field(True, description="continue an unfinished training run with the same parameters")
    strict: bool = Field(False, description="stop at any faulty picture instead of leaving it out")
    keep_empty: bool = Field(False, description="keep photos without a car, to train and score on them too")
    mask_threshold: int | None = Field(
        None, ge=1, le=255, description="grey, of 255, from which a soft mask is car; None: masks have two values"
    )

    def __init__(self, /, **values):
        try:
            super().__init__(**values)
        except ValidationError as error:
            faults = {fault["loc"][:1]: explain(fault) for fault in reversed(error.errors())}  # the first of each
            raise ParameterError("; ".join(reversed(faults.values()))) from None

    @field_validator("*", mode="before")
    @classmethod
    def refuse_booleans_for_numbers(cls, value, info):
        if isinstance(value, bool) and cls.model_fields[info.field_name].annotation is not bool:
            raise ValueError("true/false is not meant here")
        return value

    @field_validator("image_size")
    @classmethod
    def refuse_sizes_that_cannot_be_halved(cls, value):
        sides = value if isinstance(value, list) else [value, value]
        if len(sides) != 2 or any(side % 16 or not 32 <= side <= 2048 for side in sides):
            raise ValueError("it should be a multiple of 16 from 32 to 2048, or two of them, as in [192, 128]")
        return sides[0] if sides[0] == sides[1] else sides

    @model_validator(mode="after")
    def refuse_impossible_shares(self):
        if self.val_fraction + self.test_fraction > 0.8:
            raise ValueError("val_fraction + test_fraction leave less than a fifth of the cars for training")
        if self.encoder != "none" and (self.frame.height % 32 or self.frame.width % 32):
            raise ValueError(f"encoder={self.encoder!r} halves pictures five times; make image_size a multiple of 32")
        if self.batch_size % self.num_processes:
            shares = f"batch_size={self.batch_size} cannot be shared evenly by num_processes={self.num_processes}"
            raise ValueError(f"{shares}; make it a multiple of that")
        if self.patience and self.scheduler == "onecycle":
            raise ValueError("scheduler='onecycle' is planned to the last epoch; set it, or patience, but not both")
        if (self.folds is None) != (self.fold is None) or (self.folds and self.fold > self.folds):
            remedy = "give both, fold from 1 to folds; 'carvana batch' does it for each fold of a file with folds alone"
            raise ValueError(f"folds={self.folds} and fold={self.fold} do not go together; {remedy}")
        return self

    @property
    def frame(self) -> Frame:
        """What the net looks at: height, width, and whether photos keep their aspect ratio in it."""
        return Frame.of(self.image_size, pad=self.resize == "pad")

    @property
    def is_quick(self) -> bool:
        """True for the defaults, whatever the run is called: what the notebooks' expectations of scores are about."""
        return self.replace(run_name=type(self).model_fields["run_name"].default) == Params()

    def replace(self, **changes) -> "Params":
        """A copy with some parameters changed, validated like any other."""
        return Params(**self.model_dump() | changes)

    def of_training(self) -> dict:
        """The parameters that decide what an epoch learns; a new parameter is one of them unless it is FREE."""
        ends = {"patience"} if self.scheduler == "onecycle" else {"patience", "epochs"}  # there the rates follow epochs
        return self.model_dump(exclude=FREE | ends | {"tuning_epochs", "tuning_subset"})

    def of_search(self) -> dict:
        """The parameters that decide what a search finds; a new one is one unless a trial sets or ignores it."""
        without_effect = {"epochs", "patience", "learning_rate", "loss", "scheduler", "ema", "train_cars", "subset"}
        return self.model_dump(exclude=FREE | without_effect)


def unknown_parameter(name: str) -> str:
    """One sentence that names the closest valid parameter. Used by `Params` in 01."""
    close = difflib.get_close_matches(name, Params.model_fields, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"valid ones: {', '.join(Params.model_fields)}"
    return f"unknown parameter {name!r}; {HINTS.get(name.lower(), hint)}"


def explain(fault: dict) -> str:
    """One pydantic fault as a sentence with the parameter, its value and what is allowed. Used by `Params` in 01."""
    reason = fault["msg"].removeprefix("Value error, ").replace("Input should", "it should")
    if not fault["loc"]:
        return reason
    name = str(fault["loc"][0])
    if fault["type"] == "extra_forbidden":
        return unknown_parameter(name)
    if fault["type"] == "string_pattern_mismatch":
        valid = "".join(letter if letter.isalnum() else "_" for letter in fault["input"][:40]) or "my_run"
        reason = f"use letters, digits, '_', '-' and '.', the last two not in front, as in '{valid}'"
    return f"{name}={reprlib.repr(fault['input'])}: {reason} ({Params.model_fields[name].description})"
