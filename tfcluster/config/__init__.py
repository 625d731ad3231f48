"""Configurations, which are frozen dataclasses of plain values, and their named presets."""

from tfcluster.config.checks import check_types
from tfcluster.config.clustergan import GANConfig
from tfcluster.config.dec import DECConfig, EndToEnd, LayerWise
from tfcluster.config.optimizers import SGD, Adam
from tfcluster.config.overrides import apply_arguments, override, to_python
from tfcluster.config.presets import DEC_PRESETS, GAN_PRESETS, get_dec_config, get_gan_config
from tfcluster.config.serialization import from_dict, register, to_dict

__all__ = [
    "DEC_PRESETS",
    "GAN_PRESETS",
    "SGD",
    "Adam",
    "DECConfig",
    "EndToEnd",
    "GANConfig",
    "LayerWise",
    "apply_arguments",
    "check_types",
    "from_dict",
    "get_dec_config",
    "get_gan_config",
    "override",
    "register",
    "to_dict",
    "to_python",
]
