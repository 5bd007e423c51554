"""Models of transformers over every file that nibble reads; what lies packed there stays packed."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import torch

from .. import ArgumentError, Tensor, UnsupportedError, _nibble
from ._ops import to_torch
from ._packed import frozen_as_loaded, wrap

# What configurations say of packing: the tensors say it themselves, and transformers is to look for no packer's code.
_PACKING = ("quantization", "quantization_config", "compression_config")
_EXPERT_STACK = re.compile(r"\.switch_mlp\.(\w+)\.weight$")  # MLX's name of (experts, out, in)


def _config(path: str | os.PathLike[str]) -> Any:
    from transformers import CONFIG_MAPPING

    settings = {k: v for k, v in json.loads(_nibble.model_config(path)).items() if k not in _PACKING}
    kind = settings.get("model_type")
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        raise UnsupportedError(f"{os.fspath(path)}: transformers knows no model_type {kind!r}")
    return CONFIG_MAPPING[kind].from_dict(settings)


def _dtype_of(tensors: dict[str, Tensor], config: Any) -> torch.dtype:
    """As the configuration says, or the first dense weight."""
    dense = (getattr(torch, w.dtype.name) for w in tensors.values() if not w.is_quantized)
    return config.dtype or next((dtype for dtype in dense if dtype.is_floating_point), torch.float32)


def _dtype_called(name: str) -> torch.dtype:
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype):
        raise ArgumentError(f"[from_pretrained] dtype {name!r}: torch has no such dtype")
    return dtype


def _state_dict(tensors: dict[str, Tensor], dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """By the names that checkpoints have: transformers stacks and joins experts as its modules want them."""
    state = {}
    for name, w in tensors.items():
        # Dense weights may be trained, and a mapped file is not to be written to.
        value = wrap(w, dtype) if w.is_quantized else to_torch(w).clone()
        if stack := _EXPERT_STACK.search(name):
            for i, expert in enumerate(value.unbind()):
                state[f"{name[: stack.start()]}.experts.{i}.{stack[1]}.weight"] = expert
        else:
            state[name] = value
    return state


def _require_shapes(path: str | os.PathLike[str], skeleton: torch.nn.Module, state: dict[str, torch.Tensor]) -> None:
    """Of tensors that the model calls as the file does; others transformers turns into its own."""
    for name, wanted in skeleton.state_dict().items():
        if name in state and state[name].shape != wanted.shape:
            raise ArgumentError(
                f"{os.fspath(path)}: tensor '{name}' is {tuple(state[name].shape)}: "
                f"the model wants {tuple(wanted.shape)}"
            )


def from_pretrained(
    model_class: Any, path: str | os.PathLike[str], *, dtype: torch.dtype | str | None = None, **arguments: Any
) -> Any:
    """`model_class` of transformers, AutoModelForCausalLM or BertModel for instance, with the weights of a folder,
    dense or packed by MLX, GPTQ, AWQ or another packer that nibble knows, or of a .gguf file. Packed weights are read
    where the file is mapped, and are not trained. `dtype`, by default the configuration's, is that of dense weights and
    of what the packed ones stand for; further arguments are those of transformers' own from_pretrained.

    Raises nibble.Error, with the file and the rule it breaks, for what cannot be read: a tensor that the model wants and
    that is not there, too, unless `output_loading_info=True` asks transformers for its own account of what it made up."""
    from transformers import GenerationConfig

    if not hasattr(model_class, "from_pretrained"):
        raise TypeError(f"[from_pretrained] {model_class!r}: takes a model class of transformers")
    config, tensors = _config(path), _nibble.load(path)
    if dtype is None or dtype == "auto":
        dtype = _dtype_of(tensors, config)
    elif isinstance(dtype, str):
        dtype = _dtype_called(dtype)
    with torch.device("meta"):
        is_auto = hasattr(model_class, "from_config")  # chooses a class by the configuration
        skeleton = model_class.from_config(config) if is_auto else model_class(config)
    state = _state_dict(tensors, dtype)
    _require_shapes(path, skeleton, state)
    told = arguments.pop("output_loading_info", False)
    with frozen_as_loaded():
        model, account = type(skeleton).from_pretrained(
            None, config=config, state_dict=state, dtype=dtype, output_loading_info=True, **arguments
        )
    if account["missing_keys"] and not told:
        raise ArgumentError(f"{os.fspath(path)}: tensor '{min(account['missing_keys'])}' is missing")
    model.name_or_path = model.config.name_or_path = os.fspath(path)  # which adapters name as their base
    if os.path.exists(os.path.join(path, "generation_config.json")):
        model.generation_config = GenerationConfig.from_pretrained(path)
    return (model, account) if told else model
