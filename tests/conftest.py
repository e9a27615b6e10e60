"""Tiny models and a user folder of their own for all tests. Nothing is downloaded."""

from __future__ import annotations

import os

# Before the Hub client is imported: it reads its environment once.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")

import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

    from models.stack import Stack

# No property fails by chance, or because the machine is busy: the examples are the same every time.
# `pytest --hypothesis-profile explore` draws others.
settings.register_profile(
    "explore", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("mplus", settings.get_profile("explore"), derandomize=True)
settings.load_profile("mplus")

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
VOCABULARY = 300
POSITIONS = 2048


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of the test's own; the network is off."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("MPLUS_HOME", str(home / "mplus"))
    monkeypatch.setenv("HF_HOME", str(home / "hf"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("MPLUS_MODEL", "MPLUS_DEVICE"):
        monkeypatch.delenv(name, raising=False)
    return home


DISK_STEPS = ("fsync", "replace", "rename", "link", "mkdir", "rmdir", "unlink", "truncate")


@pytest.fixture
def killed_before() -> Callable[[int, Callable[[], object]], bool]:
    """Does work in a process of its own that is killed before its n-th step to the disk, counted from
    1; whether it was. Skips where processes cannot be forked."""
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    return _killed_before


def _killed_before(number: int, work: Callable[[], object]) -> bool:
    from models import durable

    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            with pytest.MonkeyPatch.context() as monkeypatch:
                left = [number]
                _wrap(monkeypatch, durable, "_renameat2", left)
                for name in DISK_STEPS:
                    _wrap(monkeypatch, os, name, left)
                work()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    assert status in (0, signal.SIGKILL), "the process failed by itself"
    return status != 0


def _wrap(monkeypatch: pytest.MonkeyPatch, module: object, name: str, left: list[int]) -> None:
    call = getattr(module, name)

    def step(*args: object, **kwargs: object) -> object:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)

    monkeypatch.setattr(module, name, step)


def make_llama(attention: str = "sdpa", seed: int = 0, **changes: int) -> LlamaForCausalLM:
    """A random Llama: hidden 32, 3 layers, 4 heads over 2, vocabulary 300, in float32."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    values = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": POSITIONS,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "pad_token_id": 2,
        # Wide enough that attention and logits are not flat.
        "initializer_range": 0.3,
    }
    config = LlamaConfig(**(values | changes), attn_implementation=attention)
    state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    llama = LlamaForCausalLM(config).eval().requires_grad_(False)
    torch.random.set_rng_state(state)
    return llama


def stack_of(model: Any) -> Stack:
    """The weights of a model of `transformers` as a stack of ours, not copied."""
    from models.checkpoints.architecture import read_architecture
    from models.stack import filled

    architecture = read_architecture(model.config.to_dict(), Path("config.json"), 1 << 30)
    return filled(architecture, model.state_dict())


def make_stack(seed: int = 0, **changes: int) -> Stack:
    """The weights of `make_llama`."""
    return stack_of(make_llama(seed=seed, **changes))


@pytest.fixture(scope="session")
def build_stack() -> Callable[..., Stack]:
    """`make_stack`, for tests that need another seed or size."""
    return make_stack


@pytest.fixture(scope="session")
def as_stack() -> Callable[[Any], Stack]:
    """`stack_of`, for tests with a model of `transformers`."""
    return stack_of


@pytest.fixture
def tiny_llama() -> LlamaForCausalLM:
    """A random Llama: hidden 32, 3 layers, vocabulary 300."""
    return make_llama()


@pytest.fixture(scope="session")
def build_llama() -> Callable[..., LlamaForCausalLM]:
    """`make_llama`, for tests that need another attention, seed or size."""
    return make_llama


def make_tokenizer():  # type: ignore[no-untyped-def]
    """A byte-level BPE tokenizer with ChatML's special tokens and template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    text = "the lighthouse keeper wrote in the logbook that the storm had taken the boat " * 4
    backend.train_from_iterator([text], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<|endoftext|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        additional_special_tokens=["<|im_start|>"],
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


@pytest.fixture(scope="session")
def tiny_tokenizer():  # type: ignore[no-untyped-def]
    """The tokenizer of `tiny_base_folder`."""
    return make_tokenizer()


@pytest.fixture(scope="session")
def tiny_base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base in Hugging Face's format: config, safetensors, tokenizer; 2,048 positions."""
    folder = tmp_path_factory.mktemp("models") / "tiny-base"
    make_llama().save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_checkpoint_folder(tiny_base_folder: Path) -> Path:
    """A checkpoint of ours on `tiny_base_folder`: random adapters, 2:1 pooled, maxsim retriever."""
    import torch

    from models.checkpoints import attach_adapters, save_own
    from models.config import MPlusConfig, RetrieverShape
    from models.prompts import PromptFormat
    from models.retriever import make_retriever

    config = MPlusConfig(
        chunk_tokens=32,
        new_tokens=16,
        stm_tokens=48,
        recalled_tokens=64,
        max_prompt_tokens=512,
        memory_positions="pooled",
        update_lora_rank=4,
        generate_lora_rank=2,
        retriever=RetrieverShape("maxsim", width=8, hidden=16, layers=(1, 2)),
    )
    stack = make_stack()
    attach_adapters(stack, 4, 2)
    generator = torch.Generator().manual_seed(5)
    for name, parameter in stack.named_parameters():
        if ".lora_" in name:
            noise = torch.randn(parameter.shape, generator=generator) * 0.1
            # Adapters are stored in bfloat16; so values survive the way there and back.
            parameter.data = noise.to(torch.bfloat16).float()
    torch.manual_seed(6)
    folder = tiny_base_folder.parent / "tiny-checkpoint"
    save_own(
        folder,
        config=config,
        base_reference="../tiny-base",
        name="tiny",
        prompt=PromptFormat(),
        retriever=make_retriever(config.retriever, 3, 32),
        stack=stack,
    )
    return folder
