"""Profiles as they lie in Redis: JSON, compressed by what all of them have in common.

Most of a profile's 1.4 KB are names. Zstandard (RFC 8878) is given a dictionary of them, so
that little more is left than the numbers: a quarter. A value begins with a byte that is the number
of its dictionary, and goes on with a frame without its magic number.

Dictionaries are files beside this module, made by `docs/profile_dictionary.py`. None of them ever
changes, because what lies in Redis was compressed with it; a better one gets the next number.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import zstandard

NEWEST = 1
"""Number of the dictionary that is used for what is written."""

_LEVEL = 1  # half the time of level 3, for a fiftieth more


def file_of(number: int) -> Path:
    """The file of a dictionary."""
    return Path(__file__).with_name(f"profiles-{number}.dict")


def compress(profile: bytes) -> bytes:
    """What is stored of a profile."""
    return _NUMBER + _compressor().compress(profile)


def decompress(stored: bytes) -> bytes:
    """The profile of what is stored. What no worker has written comes back as it is."""
    number = stored[:1]
    if not b"\1" <= number <= _NUMBER:
        return stored
    try:
        return _decompressor(number[0]).decompress(stored[1:])
    except zstandard.ZstdError:
        return stored


_NUMBER = bytes([NEWEST])


@lru_cache
def _compressor() -> zstandard.ZstdCompressor:
    words = _dictionary(NEWEST)
    words.precompute_compress(level=_LEVEL)
    how = zstandard.ZstdCompressionParameters.from_level(
        _LEVEL,
        format=zstandard.FORMAT_ZSTD1_MAGICLESS,
        write_content_size=True,
        write_checksum=False,
        write_dict_id=False,
    )
    return zstandard.ZstdCompressor(dict_data=words, compression_params=how)


@lru_cache
def _decompressor(number: int) -> zstandard.ZstdDecompressor:
    return zstandard.ZstdDecompressor(
        dict_data=_dictionary(number), format=zstandard.FORMAT_ZSTD1_MAGICLESS
    )


def _dictionary(number: int) -> zstandard.ZstdCompressionDict:
    return zstandard.ZstdCompressionDict(file_of(number).read_bytes())
