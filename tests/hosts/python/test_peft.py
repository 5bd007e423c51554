"""PEFT, as it is: adapters learn beside packed weights, are saved, loaded, and merged by packing anew."""

import copy
import os
import pathlib

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
torch = pytest.importorskip("torch", reason="torch is not installed (make deps-torch)")
transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft", reason="PEFT is not installed (make deps-torch)")

import nibble as nb  # noqa: E402
import nibble.torch as nt  # noqa: E402

SMOLLM2 = pathlib.Path(__file__).parents[3] / "build/models/SmolLM2-135M-Instruct.Q4_1.gguf"
LORA = dict(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj", "down_proj"])


def small_llama():
    torch.manual_seed(0)
    config = transformers.LlamaConfig(hidden_size=128, intermediate_size=256, num_hidden_layers=2, vocab_size=96,
                                      num_attention_heads=4, num_key_value_heads=2, initializer_range=0.1)  # fmt: skip
    return nt.quantize_(transformers.LlamaForCausalLM(config).eval(), bits=4, group_size=64)


def packed_bytes(model):
    weights = [p for p in model.parameters() if isinstance(p, nt.PackedTensor)]
    assert weights
    return [part.clone() for w in weights for part in w.parts]


def train(model, ids, steps, learning_rate):
    learnt = [p for p in model.parameters() if p.requires_grad]
    assert not any(isinstance(p, nt.PackedTensor) for p in learnt)
    optimizer, losses = torch.optim.AdamW(learnt, lr=learning_rate), []
    for _ in range(steps):
        loss = model(input_ids=ids, labels=ids).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@torch.no_grad()
def logits(model, ids):
    return model(input_ids=ids).logits


def distance(got, want):
    return float((got - want).norm() / want.norm())


@pytest.fixture
def ids():
    return torch.randint(96, (2, 16), generator=torch.Generator().manual_seed(1))


def test_adapters_learn_and_gradients_are_those_of_dense_weights(ids):
    model = peft.get_peft_model(small_llama(), peft.LoraConfig(**LORA, init_lora_weights=False))
    reference = nt.dequantize_(copy.deepcopy(model))
    with nb.options(fallback="error", precision="exact"):
        model(input_ids=ids, labels=ids).loss.backward()
    reference(input_ids=ids, labels=ids).loss.backward()
    gradients = {n: p.grad for n, p in model.named_parameters() if p.requires_grad}
    assert len(gradients) == 2 * 2 * 3
    for name, p in reference.named_parameters():
        if name in gradients:
            assert distance(gradients[name], p.grad) <= 1e-4, name

    before = packed_bytes(model)
    losses = train(model, ids, 10, 1e-2)
    assert losses[-1] < 0.8 * losses[0]
    assert all(torch.equal(p, q) for p, q in zip(packed_bytes(model), before))


def test_adapters_are_saved_and_loaded(ids, tmp_path):
    model = peft.get_peft_model(small_llama(), peft.LoraConfig(**LORA))
    train(model, ids, 3, 1e-2)
    model.save_pretrained(tmp_path)
    loaded = peft.PeftModel.from_pretrained(small_llama(), tmp_path)
    with nb.options(fallback="error"):
        assert torch.equal(logits(loaded, ids), logits(model, ids))
        with loaded.disable_adapter():
            assert torch.equal(logits(loaded, ids), logits(small_llama(), ids))


def test_adapters_name_the_folder_that_their_base_came_from(ids, tmp_path):
    nt.dequantize_(small_llama()).save_pretrained(tmp_path / "base")
    model = nt.from_pretrained(transformers.AutoModelForCausalLM, tmp_path / "base")
    adapted = peft.get_peft_model(nt.quantize_(model, bits=4, group_size=64), peft.LoraConfig(**LORA))
    adapted.save_pretrained(tmp_path / "adapter")
    again = peft.PeftConfig.from_pretrained(tmp_path / "adapter")
    assert again.base_model_name_or_path == model.name_or_path == str(tmp_path / "base")


def test_adapters_are_merged_by_packing_anew(ids):
    model = peft.get_peft_model(small_llama(), peft.LoraConfig(**LORA))
    train(model, ids, 5, 1e-2)
    want = logits(model, ids)
    with pytest.raises(RuntimeError, match=r"\[aten\.add_.*does not change.*dequantize_\(model\)"):
        model.merge_adapter()
    merged = nt.dequantize_(model).merge_and_unload()
    assert distance(logits(merged, ids), want) <= 1e-3
    nt.quantize_(merged, bits=8, group_size=32)
    assert isinstance(merged.model.layers[0].self_attn.q_proj.weight, nt.PackedTensor)
    with nb.options(fallback="error"):
        assert distance(logits(merged, ids), want) < 0.1


@pytest.mark.skipif(not SMOLLM2.exists(), reason=f"{SMOLLM2.name} is not there (make deps)")
def test_smollm2_learns_a_text(tmp_path):
    model = nt.from_pretrained(transformers.AutoModelForCausalLM, SMOLLM2)
    text = "Nobody in the village knew why the blue heron came back to the mill each autumn, but all were glad of it."
    ids = torch.tensor([list(text.encode())[:48]]) + 260  # any ids do
    model = peft.get_peft_model(model, peft.LoraConfig(**LORA))
    before = packed_bytes(model)
    losses = train(model, ids, 3, 2e-3)
    assert losses[-1] < losses[0] - 0.1
    assert all(torch.equal(p, q) for p, q in zip(packed_bytes(model), before))
