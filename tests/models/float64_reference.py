"""Runs a transformers model wholly in float64: the oracle for logits."""

from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM

FLOAT32 = torch.float32  # the true one, whatever the name means for the moment


@contextmanager
def everything_in_float64():
    """transformers names torch.float32 inside its norms, softmax and rope; here that name means float64."""
    kept = torch.float32, torch.float, torch.Tensor.float
    torch.float32 = torch.float = torch.float64
    torch.Tensor.float = torch.Tensor.double
    try:
        yield
    finally:
        torch.float32, torch.float, torch.Tensor.float = kept


def fuse_experts(weights: dict) -> dict:
    """Experts one by one, as files have them, in the two tensors a layer that the model's class holds."""
    layers = {name.split(".experts.0.")[0] for name in weights if ".experts.0." in name}
    for layer in layers:
        stacks = {}
        for part in ("gate", "up", "down"):
            each = []
            while f"{layer}.experts.{len(each)}.{part}_proj.weight" in weights:
                each.append(weights.pop(f"{layer}.experts.{len(each)}.{part}_proj.weight"))
            stacks[part] = torch.stack(each)
        weights[f"{layer}.experts.gate_up_proj"] = torch.cat([stacks["gate"], stacks["up"]], 1)
        weights[f"{layer}.experts.down_proj"] = stacks["down"]
    return weights


def load_float64(folder, config=None):
    """The model of a folder, with another config of the same shapes if given; rope's tables in float64 too."""
    config = config or AutoConfig.from_pretrained(folder)
    with everything_in_float64():
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float64, attn_implementation="eager",
                                                 experts_implementation="eager").eval()
    weights = {}
    for shard in sorted(Path(folder).glob("model*.safetensors")):
        weights |= load_file(shard)
    missing, unexpected = model.load_state_dict(fuse_experts(weights), strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"} and config.tie_word_embeddings == bool(missing)
    return model


@torch.no_grad()
def logits64(model, tokens) -> torch.Tensor:
    with everything_in_float64():
        return model(input_ids=torch.as_tensor(tokens), use_cache=False).logits.double()


def logits_of(model, tokens):
    """(batch, tokens, vocabulary), computed in float64, as float32 for the file."""
    return logits64(model, tokens).to(FLOAT32).numpy()


def router_margin(model, tokens) -> float:
    """The least distance, anywhere in a pass, between the probabilities of an expert used and the next one."""
    margins = []

    def look(router, inputs, outputs):
        best = outputs[0].double().softmax(-1).topk(router.top_k + 1).values
        margins.append((best[..., -2] - best[..., -1]).min().item())

    hooks = [m.register_forward_hook(look) for n, m in model.named_modules() if n.endswith("mlp.gate")]
    logits64(model, tokens)
    for hook in hooks:
        hook.remove()
    return min(margins)


def greedy(model, tokens, count: int):
    """The next `count` greedy ids for each row, and at each the margin between the best two logits."""
    tokens = torch.as_tensor(tokens)
    ids, margins = [], []
    for _ in range(count):
        best = logits64(model, tokens)[:, -1].topk(2)
        ids.append(best.indices[:, 0])
        margins.append(best.values[:, 0] - best.values[:, 1])
        tokens = torch.cat([tokens, ids[-1][:, None]], dim=1)
    return torch.stack(ids, 1).numpy(), torch.stack(margins, 1).to(FLOAT32).numpy()
