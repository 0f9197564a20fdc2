"""Weights in 16 bits that the engine quantises itself."""

from pathlib import Path

import pytest

from tests.planning.reported.build import SGLANG, TGI, VLLM, h100, rtx3090, told
from tests.planning.reported.models import AWQ, LLAMA3_8B, LLAMA32_1B, QWEN3_8B, decoder

BNB = ["--quantization", "bitsandbytes"]


@pytest.mark.parametrize(
    "options",
    [
        # oumi#1223
        pytest.param(BNB, id="--quantization"),
        pytest.param(["-q", "bitsandbytes", "--load-format", "bitsandbytes"], id="-q"),
        pytest.param(["--quantization=bitsandbytes", "--load_format=bitsandbytes"], id="with ="),
    ],
)
def test_bitsandbytes_keeps_a_quarter_of_the_linear_layers(tmp_path: Path, options: list[str]) -> None:
    """Llama-3.2-1B: 2357 MiB, of which 501 are the embedding. 973 million weights take half a byte and a scale of 4
    bytes for 64 of them, and the embedding stays: 0.98 GB were reported. So 1300 to 1400 MiB less."""
    model = decoder(tmp_path / "m", LLAMA32_1B, tied=True)
    command = ["--model", "/models/q", "--max-model-len", "8192"]
    found, without = (told(tmp_path, [*command, *more], gpus=rtx3090(), model=model) for more in (options, []))
    assert without.minimum_mib is not None
    assert found.minimum_mib is not None
    assert 1250 < without.minimum_mib - found.minimum_mib < 1450


def test_a_larger_model_in_four_bits(tmp_path: Path) -> None:
    """Qwen3-8B: 15.3 GiB, 2.3 of them embedding and output: 6.95 billion weights × (0.5 + 0.0625) bytes = 3.6 GiB, 5.9
    to 6.2 in all, and 1.1 of cache: it fits in 12 GB."""
    model = decoder(tmp_path / "m", QWEN3_8B)
    found = told(tmp_path, ["--model", "/models/q", "--max-model-len", "8192", *BNB], gpus=rtx3090(), model=model)
    assert 5.8 + 1.1 + 0.5 < found.minimum_gib < 6.3 + 1.1 + 2


def test_files_that_are_quantised_already_stay_as_they_are(tmp_path: Path) -> None:
    """`--quantization awq` names what the files are."""
    model = decoder(tmp_path / "m", {**QWEN3_8B, "quantization_config": AWQ})
    command = ["--model", "/models/q", "--max-model-len", "8192"]
    found, without = (told(tmp_path, [*command, *more], gpus=rtx3090(), model=model) for more in (["-q", "awq"], []))
    assert found.minimum_mib == without.minimum_mib


@pytest.mark.parametrize(
    ("image", "command"),
    [
        pytest.param(VLLM, ["--model", "/models/q", "--quantization", "fp8"], id="vllm"),
        pytest.param(
            SGLANG,
            [
                "python3",
                "-m",
                "sglang.launch_server",
                "--model-path",
                "/models/q",
                "--quantization",
                "fp8",
                "--context-length",
                "131072",
            ],
            id="sglang",
        ),
    ],
)
def test_fp8_halves_the_linear_layers(tmp_path: Path, image: str, command: list[str]) -> None:
    """Llama-3-8B: 15.0 GiB, 2.0 of them embedding and output: 6.5 less once it serves, with 16 GiB of cache. While it
    loads it may hold all 16 bits, which is less than that."""
    model = decoder(tmp_path / "m", LLAMA3_8B)
    place = command.index("--quantization")
    without = told(tmp_path, command[:place] + command[place + 2 :], image=image, gpus=h100(), model=model)
    found = told(tmp_path, command, image=image, gpus=h100(), model=model)
    assert 5.9 < without.minimum_gib - found.minimum_gib < 8.5


@pytest.mark.parametrize(
    ("name", "saved"),
    [
        ("bitsandbytes-nf4", (8.5, 10.5)),
        ("bitsandbytes-fp4", (8.5, 10.5)),
        ("eetq", (6.0, 7.0)),
        ("bitsandbytes", (6.0, 7.0)),
    ],
)
def test_what_tgi_quantises(tmp_path: Path, name: str, saved: tuple[float, float]) -> None:
    """Its launcher's manual: `bitsandbytes` and `eetq` are 8 bits, nf4 and fp4 are 4. 13.0 GiB of linear layers."""
    model = decoder(tmp_path / "m", LLAMA3_8B)
    command = ["--model-id", "/models/q", "--max-total-tokens", "8192"]
    without = told(tmp_path, command, image=TGI, gpus=h100(), model=model)
    for found in (
        told(tmp_path, [*command, "--quantize", name], image=TGI, gpus=h100(), model=model),
        told(tmp_path, command, image=TGI, gpus=h100(), model=model, environment={"QUANTIZE": name}),
    ):
        assert saved[0] < without.minimum_gib - found.minimum_gib < saved[1]
