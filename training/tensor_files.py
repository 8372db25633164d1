"""Tensors under other names: safetensors files rewritten as bytes, without loading PyTorch.

A file is 8 bytes of length, a JSON header of that length, and the tensors' bytes; the header says
where each lies, counted from its end (https://github.com/huggingface/safetensors#format).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from training.errors import TrainingError
from training.headers import METADATA, Tensor, read_header

BLOCK_BYTES = 1024 * 1024


def rewrite(
    source: Path,
    target: Path,
    *,
    rename: Callable[[str], str] = str,
    keep: Callable[[str], bool] = bool,
    scalars: Mapping[str, float] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """The kept tensors under new names, `scalars` as fp32 after them; equal for equal input."""
    tensors = {name: item for name, item in read_header(source).tensors.items() if keep(name)}
    in_order = sorted(tensors.items(), key=lambda item: item[1].start)
    numbers = sorted((scalars or {}).items())
    target.unlink(missing_ok=True)  # its bytes may have other names, in a checkpoint say
    with source.open("rb") as data, target.open("wb") as file:
        _write_header(
            file,
            _header([(rename(name), tensor) for name, tensor in in_order], dict(numbers), metadata),
        )
        for _, tensor in in_order:
            data.seek(tensor.start)
            if not _copy(data, file, tensor.size_bytes):
                raise TrainingError(f"{source} was cut short meanwhile; copy it again.")
        for _, number in numbers:
            file.write(struct.pack("<f", number))


def _header(
    tensors: list[tuple[str, Tensor]],
    scalars: Mapping[str, float],
    metadata: Mapping[str, str] | None,
) -> dict[str, Any]:
    header: dict[str, Any] = {METADATA: dict(sorted(metadata.items()))} if metadata else {}
    end = 0
    for name, tensor in tensors:
        header[name] = {
            "dtype": tensor.dtype,
            "shape": tensor.shape,
            "data_offsets": [end, end + tensor.size_bytes],
        }
        end += tensor.size_bytes
    for name in scalars:
        header[name] = {"dtype": "F32", "shape": [], "data_offsets": [end, end + 4]}
        end += 4
    return header


def _write_header(file: IO[bytes], header: dict[str, Any]) -> None:
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the tensors lie aligned
    file.write(struct.pack("<Q", len(text)) + text)


def _copy(source: IO[bytes], target: IO[bytes], size: int) -> bool:
    """False when the source ends before."""
    while size > 0:
        block = source.read(min(size, BLOCK_BYTES))
        if not block:
            return False
        target.write(block)
        size -= len(block)
    return True
