"""Packed weights in torch: model code stays as it is, its weights become packed.

    import nibble.torch
    nibble.torch.quantize_(model, bits=4, group_size=64)

Gradients flow through the products, to x and to adapters; packed weights are not trained themselves."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import torch

from .. import _nibble, options
from ._ops import to_nibble
from ._packed import PackedTensor, wrap
from ._pretrained import from_pretrained

__all__ = ["PackedTensor", "dequantize_", "from_pretrained", "quantize", "quantize_", "wrap"]

torch.serialization.add_safe_globals([PackedTensor])


def quantize(
    w: torch.Tensor | np.ndarray[Any, Any], *, bits: int = 4, group_size: int = 64, format: str = "affine"
) -> PackedTensor:
    """Packs w (…, N, K), float32, float16 or bfloat16, along its last axis, as nibble.quantize does: a tensor, or what
    torch makes one of, as NumPy's arrays. A packed w is decoded first."""
    dense = w.dequantize() if isinstance(w, PackedTensor) else torch.as_tensor(w)
    return wrap(_nibble.quantize(to_nibble(dense), bits, group_size, format), dense.dtype)


_ANY_GROUPS = 4096  # a width that the groups of every format divide


def _is_product_weight(module: torch.nn.Module, name: str, parameter: torch.nn.Parameter) -> bool:
    """Weights of linear layers, and stacks (experts, out, in) that a model's own modules multiply with."""
    if isinstance(module, torch.nn.Linear):
        return name == "weight"
    return parameter.dim() == 3 and not type(module).__module__.startswith("torch.nn.")


def _replace(module: torch.nn.Module, replacement: Callable[[torch.nn.Module, str, Any], Any]) -> torch.nn.Module:
    """Parameters for which there is another, by their module and full name, become it, wherever they are shared."""
    replaced: dict[int, torch.nn.Parameter] = {}
    for path, child in module.named_modules():
        for name, parameter in child.named_parameters(path, recurse=False):
            if id(parameter) not in replaced and (other := replacement(child, name, parameter)) is not None:
                replaced[id(parameter)] = other
    for child in module.modules():
        for name, parameter in list(child.named_parameters(recurse=False)):
            if id(parameter) in replaced:
                setattr(child, name, replaced[id(parameter)])
    return module


def _require_module(op: str, module: Any, otherwise: str) -> None:
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"[{op}] {type(module).__name__}: takes a torch.nn.Module; {otherwise}")


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
    A weight whose width no group divides stays dense. Raises ArgumentError for bits, a group size or a format that
    there is not."""
    _require_module("quantize_", module, "quantize() packs a tensor")
    quantize(torch.zeros(1, _ANY_GROUPS), bits=bits, group_size=group_size, format=format)

    def packed(child: torch.nn.Module, name: str, parameter: torch.nn.Parameter) -> torch.nn.Parameter | None:
        if isinstance(parameter, PackedTensor) or not _is_product_weight(child, name.rpartition(".")[2], parameter):
            return None
        if where and not where(name):
            return None
        try:
            weight = quantize(parameter, bits=bits, group_size=group_size, format=format)
        except ValueError:
            return None  # a width that no group divides
        return torch.nn.Parameter(weight, requires_grad=False)

    return _replace(module, packed)


def dequantize_(module: torch.nn.Module, *, where: Callable[[str], bool] | None = None) -> torch.nn.Module:
    """Makes a model's packed weights dense in place, each the values it stood for, and returns it. What is then learnt
    or merged into them is packed again by quantize_()."""
    _require_module("dequantize_", module, "a packed tensor has dequantize()")

    def dense(child: torch.nn.Module, name: str, parameter: torch.nn.Parameter) -> torch.nn.Parameter | None:
        if not isinstance(parameter, PackedTensor) or (where and not where(name)):
            return None
        with options(fallback="allow"):
            return torch.nn.Parameter(parameter.dequantize(), requires_grad=False)

    return _replace(module, dense)
