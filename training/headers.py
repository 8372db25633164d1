"""What a safetensors file says it holds, read without loading it.

Only the header is believed, and only if every byte of the file is accounted for; so weights can be
counted, compared and refused before torch is loaded.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.errors import TrainingError

LARGEST_HEADER = 16 * 1024 * 1024
"""Bytes; the header of SDXL's denoiser has a quarter of a million."""
MOST_SIDES = 8
"""Of one tensor; networks have up to 5, and a product of a million sides takes hours."""
METADATA = "__metadata__"
ITEM_BYTES = {
    **dict.fromkeys(("F64", "I64", "U64"), 8),
    **dict.fromkeys(("F32", "I32", "U32"), 4),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 2),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2"), 1),
}


@dataclass(frozen=True)
class Tensor:
    dtype: str
    shape: tuple[int, ...]
    start: int
    """Byte of the file where its values begin."""
    size_bytes: int

    @property
    def numbers(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Header:
    size_bytes: int
    """Of the whole file."""
    tensors: dict[str, Tensor]
    metadata: dict[str, str]

    @property
    def numbers(self) -> int:
        return sum(tensor.numbers for tensor in self.tensors.values())


def read_header(path: Path) -> Header:
    """TrainingError when the file is not whole or does not keep to the format."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(size - 8, LARGEST_HEADER):
                raise _torn(path)
            text = file.read(length)
    except OSError as error:
        raise TrainingError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        data = json.loads(text)
        metadata = data.pop(METADATA, {})
        if not all(isinstance(word, str) for word in metadata.values()):
            raise ValueError(METADATA)
        tensors = _tensors(data, first_byte=8 + length)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _torn(path) from error
    if _end_of(tensors, first_byte=8 + length) != size:
        raise _torn(path)
    return Header(size, tensors, metadata)


def _tensors(data: dict[str, Any], *, first_byte: int) -> dict[str, Tensor]:
    found = {}
    for name, entry in data.items():
        begin, end = entry["data_offsets"]
        shape = tuple(entry["shape"])
        whole = all(type(number) is int and number >= 0 for number in (begin, end, *shape))
        if not whole or len(shape) > MOST_SIDES:
            raise ValueError(name)
        tensor = Tensor(entry["dtype"], shape, first_byte + begin, end - begin)
        if tensor.numbers * ITEM_BYTES[tensor.dtype] != tensor.size_bytes:
            raise ValueError(name)
        found[name] = tensor
    return found


def _end_of(tensors: dict[str, Tensor], *, first_byte: int) -> int:
    """Where the last tensor ends, or -1 when some overlap or leave a gap."""
    end = first_byte
    for tensor in sorted(tensors.values(), key=lambda tensor: (tensor.start, tensor.size_bytes)):
        if tensor.start != end:
            return -1
        end += tensor.size_bytes
    return end


def _torn(path: Path) -> TrainingError:
    return TrainingError(f"{path} is no whole safetensors file; fetch or copy it again.")
