"""Packed weights in torch: model code stays as it is, its weights become packed.

    import nibble.torch
    nibble.torch.quantize_(model, bits=4, group_size=64)

Gradients flow through the products, to x and to adapters; packed weights are not trained themselves."""

from __future__ import annotations

from typing import Callable

import torch

from .. import Tensor, _nibble
from ._ops import to_torch
from ._packed import PackedTensor

__all__ = ["PackedTensor", "quantize", "quantize_", "wrap"]

torch.serialization.add_safe_globals([PackedTensor])


def wrap(w: Tensor, dtype: torch.dtype | None = None) -> PackedTensor:
    """A packed tensor of nibble's in torch, without a copy; as `dtype` (by default w's own). It must be packed along
    its last axis, as tensors are that were quantized or loaded.

    Raises ValueError for a dense tensor, or one that is packed along another axis."""
    if w.packed_axis != w.ndim - 1:
        raise ValueError(f"[wrap] {w!r}: not packed along its last axis")
    parts = [to_torch(part) for _, part in _nibble.components(w)]
    parts = [part.view(torch.int32) if part.dtype == torch.uint32 else part for part in parts]
    return PackedTensor(parts, w.format, dtype or getattr(torch, w.dtype.name), w.shape[-1])


def quantize(w: torch.Tensor, *, bits: int = 4, group_size: int = 64, format: str = "affine") -> PackedTensor:
    """Packs w (…, N, K), float32, float16 or bfloat16, along its last axis, as nibble.quantize does."""
    from ._ops import to_nibble

    return wrap(_nibble.quantize(to_nibble(w), bits, group_size, format), w.dtype)


def _is_product_weight(module: torch.nn.Module, name: str, parameter: torch.nn.Parameter) -> bool:
    """Weights of linear layers, and stacks (experts, out, in) that a model's own modules multiply with."""
    if isinstance(module, torch.nn.Linear):
        return name == "weight"
    return parameter.dim() == 3 and not type(module).__module__.startswith("torch.nn.")


def quantize_(
    module: torch.nn.Module,
    *,
    bits: int = 4,
    group_size: int = 64,
    format: str = "affine",
    where: Callable[[str], bool] | None = None,
) -> torch.nn.Module:
    """Packs a model's weights in place and returns it: of every nn.Linear, which stays one, and stacks of experts. A
    weight that an embedding shares stays shared. `where` chooses by the weight's name ("layers.0.mlp.up_proj.weight").
    A weight whose width no group divides stays dense."""
    packed: dict[int, torch.nn.Parameter] = {}
    for path, child in module.named_modules():
        for name, parameter in child.named_parameters(path, recurse=False):
            if not _is_product_weight(child, name.rpartition(".")[2], parameter) or id(parameter) in packed:
                continue
            if isinstance(parameter, PackedTensor) or (where and not where(name)):
                continue
            try:
                weight = quantize(parameter, bits=bits, group_size=group_size, format=format)
            except ValueError:
                continue  # a width that no group divides
            packed[id(parameter)] = torch.nn.Parameter(weight, requires_grad=False)
    for child in module.modules():
        for name, parameter in list(child.named_parameters(recurse=False)):
            if id(parameter) in packed:
                setattr(child, name, packed[id(parameter)])
    return module
