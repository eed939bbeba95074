"""The settings of one training run: checked when made; TOML in, plain types in and out."""

import dataclasses
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from gazetools.errors import ConfigError

_CHOICES = {
    "method": ("gradtrack", "gazemedseg", "fgi", "heatmap", "full"),
    "encoder": ("unet", "efficientnet-lite0"),
    "attention": ("refine", "gate", "concat", "none"),
    "stage_order": ("whole_first", "whole_last", "whole_everywhere"),
    "uncertain": ("ignore", "background"),
    "text": ("attention", "none"),
    "teacher_attention": ("none", "refine", "gate", "concat"),
    "masked_as": ("background", "ignore"),
    "masked_image": ("kept", "zeroed"),
    "optimizer": ("adamw", "sgd"),
    "schedule": ("cosine", "constant"),
    "precision": ("float32", "bf16", "float64"),
    "select_on": ("auto", "masks", "pseudo"),
}

# lowest and highest value allowed
_RANGES: dict[str, tuple[float, float]] = {
    "width": (4, 512),
    "size_px": (32, 2048),
    "iterations": (1, math.inf),
    "batch_size": (1, 4096),
    "lr": (0, 10),
    "lr_min": (0, 10),
    "warmup": (0, 0.9),
    "momentum": (0, 0.9999),
    "weight_decay": (0, 1),
    "ema_decay": (0, 0.99999),
    "grad_clip": (0, math.inf),
    "lambda_dice": (0, math.inf),
    "lambda_attention": (0, math.inf),
    "lambda_consistency": (0, math.inf),
    "heatmap_threshold": (0, 1),
    "student_share": (0.1, 1),
    "teacher_first": (0, 0.9),
    "ramp": (0, 1),
    "masked_share": (0, 1),
    "lambda_alignment": (0, math.inf),
    "lambda_agreement": (0, math.inf),
    "jitter": (0, 1),
    "seed": (0, 2**32 - 1),
    "val_every": (1, math.inf),
    "save_every": (1, math.inf),
    "keep_every": (0, math.inf),
    "memory_gb": (0, math.inf),
}

WITHOUT_EFFECT = ("memory_gb", "save_every")
"""Settings that no result depends on: a run may go on with others."""

_STRIDES = {"unet": 16, "efficientnet-lite0": 32}


@dataclass(frozen=True)
class TrainConfig:
    """Everything that a run depends on besides its cache.

    Attributes
    ----------
    method : {"gradtrack", "gazemedseg", "fgi", "heatmap", "full"}
        What supervises: pseudo-masks and track levels, two nested pseudo-masks, two nested
        pseudo-masks and descriptions, the thresholded heatmap, or masks.
    encoder : {"unet", "efficientnet-lite0"}
    weights : str
        What the encoder starts from: "auto" is ImageNet for efficientnet-lite0 and chance for
        unet; "none" is chance; else a safetensors file with the encoder's parameters, such as a
        checkpoint of another run.
    width : int
        Channels of the network, see :func:`gradtrack_model.networks.build_network`.
    size_px : int
        Side of the square that images are resized to; a multiple of the deepest stride.
    attention : {"refine", "gate", "concat", "none"}
        What Track Attention does to features; only the method gradtrack has it.
    stage_order : {"whole_first", "whole_last", "whole_everywhere"}
        Which track level supervises which decoder stage.
    lambda_attention, lambda_dice : float
        Weights of the attention loss and of the soft Dice loss.
    lambda_consistency : float
        Weight of the consistency between the two networks of the method gazemedseg.
    uncertain : {"ignore", "background"}
        What uncertain pixels of pseudo-masks count as.
    heatmap_threshold : float
        Foreground of the method heatmap is above this.
    text : {"attention", "none"}
        Whether the teacher of the method fgi sees descriptions. This and what follows, to
        `ramp`, is of that method alone; see :mod:`gradtrack_model.methods.fgi`.
    teacher_attention : {"none", "refine", "gate", "concat"}
        Track Attention in its teacher, supervised by the levels of the gaze track.
    student_share : float
        Width of the student as a share of the teacher's; with efficientnet-lite0 of the decoder
        alone, for the encoder has one width.
    teacher_first : float
        Share of the iterations in which the teacher learns alone, to be left as it is
        afterwards; with 0 both learn together. The student then has the iterations that are
        left, and the learning rate of those.
    lambda_alignment, lambda_agreement : float
        Weights of the alignment of features and of the agreement of predictions; 0 is none.
    masked_share : float
        How much of where the two pseudo-masks disagree is masked for the student; 0 is nothing.
    masked_as : {"background", "ignore"}
        What the student is told there; published is the first.
    masked_image : {"kept", "zeroed"}
        What the student sees there. Zeroed, as published, squares show where the masks differ,
        and a student can learn to look for squares.
    ramp : float
        Share of the student's iterations in which alignment and agreement gain weight.
    iterations, batch_size : int
    optimizer : {"adamw", "sgd"}
        SGD is with Nesterov momentum.
    lr, lr_min, momentum, weight_decay : float
        Highest and last learning rate; momentum is SGD's alone.
    schedule : {"cosine", "constant"}
    warmup : float
        Share of the iterations in which the learning rate rises linearly to `lr`.
    ema_decay : float
        Of the running average of weights that is validated and kept; 0 is none.
    grad_clip : float
        Largest norm of the gradient; 0 is no limit.
    flips, quarter_turns : bool
        Geometric augmentation.
    jitter : float
        Strength of brightness, contrast and colour augmentation; 0 is none.
    views : bool
        Whether a mask is made from the mean over an image's flips (and quarter turns, if these
        were trained on), which takes as many times longer. Validation looks once.
    precision : {"float32", "bf16", "float64"}
        Of the network; "bf16" keeps weights and losses in float32.
    deterministic : bool
        On a GPU too, use only operations whose results do not change from run to run.
    channels_last, compile : bool
        Memory layout (much faster on CPU); torch.compile.
    seed : int
        Of initial weights, order and augmentation.
    val_every, save_every : int
        Iterations between validations, and between savings of the state to resume from.
    keep_every : int
        Iterations between weights that are kept for `gradtrack-evaluate --best-on-test`; 0: none.
    select_on : {"auto", "masks", "pseudo"}
        What the best checkpoint is chosen on: reference masks of validation items, their
        pseudo-masks, or masks where any validation item has one.
    memory_gb : float
        Most that the items of a split are held in, in GB, on the GPU or in main memory; what is
        free there limits it too. With 0 they are read from the cache, batch by batch. Results
        do not depend on it.
    """

    method: str = "gradtrack"
    encoder: str = "unet"
    weights: str = "auto"
    width: int = 64
    size_px: int = 224
    attention: str = "refine"
    stage_order: str = "whole_first"
    lambda_attention: float = 0.5
    lambda_dice: float = 1.0
    lambda_consistency: float = 3.0
    uncertain: str = "ignore"
    heatmap_threshold: float = 0.5
    text: str = "attention"
    teacher_attention: str = "none"
    student_share: float = 0.5
    teacher_first: float = 0.0
    lambda_alignment: float = 0.1
    lambda_agreement: float = 1.0
    masked_share: float = 0.3
    masked_as: str = "ignore"
    masked_image: str = "kept"
    ramp: float = 4 / 15
    iterations: int = 15_000
    batch_size: int = 8
    optimizer: str = "sgd"
    lr: float = 1e-2
    lr_min: float = 1e-4
    momentum: float = 0.9
    weight_decay: float = 4e-4
    schedule: str = "cosine"
    warmup: float = 0.0
    ema_decay: float = 0.0
    grad_clip: float = 0.0
    flips: bool = True
    quarter_turns: bool = False
    jitter: float = 0.0
    views: bool = False
    precision: str = "float32"
    deterministic: bool = False
    channels_last: bool = True
    compile: bool = False
    seed: int = 0
    val_every: int = 500
    save_every: int = 500
    keep_every: int = 0
    select_on: str = "auto"
    memory_gb: float = 64.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            self._check(field.name, type(field.default))
        stride = _STRIDES[self.encoder]
        if self.size_px % stride or self.size_px < 2 * stride:
            raise ConfigError(
                f"size_px = {self.size_px}: encoder {self.encoder} expects a multiple of "
                f"{stride}, at least {2 * stride}"
            )
        if self.encoder == "unet" and self.width % 4:
            raise ConfigError(f"width = {self.width}: expected a multiple of 4 (GroupNorm)")
        if self.lr_min > self.lr:
            raise ConfigError(f"lr_min = {self.lr_min}: expected at most lr = {self.lr}")

    def _check(self, name: str, kind: type) -> None:
        value: Any = getattr(self, name)
        if kind is float and type(value) is int:
            object.__setattr__(self, name, value := float(value))
        if type(value) is not kind:
            raise ConfigError(f"{name} = {value!r}: expected {_KIND_NAMES[kind]}")
        if kind is float and value == math.inf:
            raise ConfigError(f"{name} = inf: expected a finite number")
        if name in _CHOICES and value not in _CHOICES[name]:
            raise ConfigError(f"{name} = {value!r}: expected one of {', '.join(_CHOICES[name])}")
        if name in _RANGES:
            low, high = _RANGES[name]
            if not low <= getattr(self, name) <= high:
                limits = f"at least {low}" if high == math.inf else f"from {low} to {high}"
                raise ConfigError(f"{name} = {value!r}: expected {limits}")

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some settings changed.

        Raises
        ------
        ConfigError
            A setting is unknown, of the wrong type or outside its range.
        """
        _check_known(changes)
        return dataclasses.replace(self, **changes)

    def differences(self, other: "TrainConfig") -> dict[str, tuple[Any, Any]]:
        """Return where `other` differs in effect: setting to (own value, other's value)."""
        mine, theirs = self.to_dict(), other.to_dict()
        names = [name for name in mine if name not in WITHOUT_EFFECT]
        return {name: (mine[name], theirs[name]) for name in names if mine[name] != theirs[name]}

    def to_dict(self) -> dict[str, Any]:
        """Return all settings as plain JSON types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """Undo :meth:`to_dict`; settings that are not given take their defaults."""
        _check_known(settings)
        return cls(**settings)


_KIND_NAMES = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}
_FIELDS = tuple(field.name for field in dataclasses.fields(TrainConfig))


def _check_known(settings: Mapping[str, Any]) -> None:
    unknown = [name for name in settings if name not in _FIELDS]
    if unknown:
        raise ConfigError(f"setting {unknown[0]!r} is unknown; expected {', '.join(_FIELDS)}")


_PAPER = TrainConfig(ema_decay=0.999, grad_clip=5.0, precision="bf16", save_every=1000)

_LAPTOP = TrainConfig(
    encoder="efficientnet-lite0",
    width=32,
    size_px=160,
    iterations=1000,
    batch_size=8,
    optimizer="adamw",
    lr=1e-3,
    lr_min=1e-6,
    weight_decay=1e-2,
    warmup=0.25,
    ema_decay=0.99,
    grad_clip=5.0,
    quarter_turns=True,
    jitter=0.2,
    val_every=100,
    save_every=100,
    views=True,
)

_TINY = TrainConfig(
    encoder="unet",
    width=8,
    size_px=32,
    iterations=20,
    batch_size=4,
    optimizer="adamw",
    lr=3e-3,
    lr_min=1e-4,
    weight_decay=0.0,
    ema_decay=0.9,
    quarter_turns=True,
    jitter=0.1,
    val_every=10,
    save_every=10,
)

PRESETS = {"paper": _PAPER, "laptop": _LAPTOP, "tiny": _TINY}
"""Starting points by name.

paper
    The published schedule, which is also the default of every setting: a U-Net of full width from
    scratch, 224 px, batch 8, 15,000 iterations. GradTrack's optimiser is not known; SGD with
    Nesterov momentum, cosine from 1e-2 to 1e-4, weight decay 4e-4 and flips alone are those of
    its rivals. Momentum is 0.9 for all (the code of GazeMedSeg has 0.99, its paper Adam). Ours
    are the running average of weights, gradient clipping, bf16, soft Dice beside cross-entropy,
    and that biases and normalisation are not decayed.
laptop
    EfficientNet-Lite0 with ImageNet weights at 160 px, masks from eight views: minutes on two CPU
    cores. All of it ours.
tiny
    For tests: seconds, and no use beyond.
"""


def default_preset(device: str = "auto") -> str:
    """Return "paper" for a CUDA device, else "laptop"; "auto" is CUDA where there is one."""
    if device == "auto":
        import torch  # heavy: settings are read by --help too

        device = "cuda" if torch.cuda.is_available() else "cpu"
    return "paper" if device.startswith("cuda") else "laptop"


def from_toml(path: Path, base: TrainConfig | None = None) -> TrainConfig:
    """Read settings from a TOML file: one flat table, as the attributes of TrainConfig.

    An entry ``preset = "laptop"`` names the preset that the others change; without it they
    change `base`, by default the defaults of TrainConfig.

    Raises
    ------
    ConfigError
        The file is missing or no TOML, or a setting or the preset is unknown or out of range.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; expected settings in TOML")
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
        if "preset" in settings:
            base = preset(settings.pop("preset"))
        return (base or TrainConfig()).replace(**settings)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not readable as TOML ({error})") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def preset(name: str) -> TrainConfig:
    """Return a preset by name.

    Raises
    ------
    ConfigError
        There is no such preset.
    """
    if not isinstance(name, str) or name not in PRESETS:
        raise ConfigError(f"preset = {name!r}: expected one of {', '.join(PRESETS)}")
    return PRESETS[name]
