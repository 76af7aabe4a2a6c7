"""Plans of nnU-Net 2.0 to 2.2, which name the parts of a U-Net in place of an architecture."""

from __future__ import annotations

from ...errors import BackboneError
from .said import Said, is_whole

_CLASSES = {"PlainConvUNet": "n_conv_per_stage", "ResidualEncoderUNet": "n_blocks_per_stage"}


def architecture_of_old_plans(chosen: Said) -> Said:
    """What later versions write under "architecture"; BackboneError when a part is missing."""
    name = chosen.text("UNet_class_name")
    if name not in _CLASSES:
        raise BackboneError(
            f"{chosen.path}: {chosen.where}UNet_class_name is {name!r}; known are {', '.join(_CLASSES)}."
        )

    def numbers(key: str) -> list:
        return chosen.value(key, "a list", lambda v: isinstance(v, list) and bool(v))

    first, largest = (
        chosen.value(key, "a whole number", is_whole) for key in ("UNet_base_num_features", "unet_max_num_features")
    )
    per_stage = numbers("n_conv_per_stage_encoder")
    n_dimensions = len(chosen.numbers("patch_size", (2, 3), whole=True))
    arguments = {
        "n_stages": len(per_stage),
        "features_per_stage": [min(first * 2**i, largest) for i in range(len(per_stage))],
        "conv_op": f"torch.nn.modules.conv.Conv{n_dimensions}d",
        "kernel_sizes": numbers("conv_kernel_sizes"),
        "strides": numbers("pool_op_kernel_sizes"),
        _CLASSES[name]: per_stage,
        "n_conv_per_stage_decoder": numbers("n_conv_per_stage_decoder"),
        "conv_bias": True,
        "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{n_dimensions}d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
    architecture = {
        "network_class_name": f"dynamic_network_architectures.architectures.unet.{name}",
        "arch_kwargs": arguments,
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
    return Said(chosen.path, architecture, chosen.where)
