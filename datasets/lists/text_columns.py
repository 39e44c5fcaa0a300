"""Texts in columns: ten million of them as objects would take three times the memory."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import eq
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

AT_ONCE = 20_000  # rows that are objects at a time
SPARSE = 1000  # bytes for each text, from which on they do not lie side by side
ENCODING = "utf-8", "surrogatepass"  # of any text, also of halves of surrogate pairs

Numbers = NDArray[Any]


@dataclass(eq=False, repr=False)
class Texts(Sequence[str]):
    """Sequence of texts that are parts of one run of bytes, each decoded when it is asked for."""

    data: bytearray  # of all texts, in `ENCODING`
    starts: Numbers  # of each text in them
    lengths: Numbers  # of each text, in bytes

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> "Texts": ...
    def __getitem__(self, index: int | slice) -> "str | Texts":
        if isinstance(index, slice):
            return self.take(index)
        start = int(self.starts[index])
        return self.data[start : start + int(self.lengths[index])].decode(*ENCODING)

    def __iter__(self) -> Iterator[str]:
        for rows in in_parts(len(self)):
            yield from self[rows].decoded()

    def decoded(self) -> list[str]:
        starts, ends = self.starts.astype(np.int64), self.starts.astype(np.int64) + self.lengths
        first, last = int(starts.min(initial=len(self.data))), int(ends.max(initial=0))
        if last - first < SPARSE * len(self) and (part := self.data[first:last]).isascii():
            text = part.decode("ascii")  # once, for most texts are short and lie side by side
            places = zip((starts - first).tolist(), (ends - first).tolist(), strict=True)
            return [text[start:end] for start, end in places]
        return [self.data[start:end].decode(*ENCODING) for start, end in self.places()]

    def places(self) -> Iterator[tuple[int, int]]:
        """Yield where each text starts and ends in the bytes."""
        starts = self.starts.astype(np.int64)
        return zip(starts.tolist(), (starts + self.lengths).tolist(), strict=True)

    def take(self, positions: "Numbers | slice") -> "Texts":
        return Texts(self.data, self.starts[positions], self.lengths[positions])


class TextsBuilder:
    """Builder of texts, whose bytes are added to `data`, which several columns may share."""

    def __init__(self, data: bytearray | None = None) -> None:
        self.data = bytearray() if data is None else data
        self.starts, self.lengths = array("Q"), array("I")

    def extend(self, texts: Sequence[str]) -> None:
        joined = "".join(texts)
        lengths = [len(text) if joined.isascii() else len(text.encode(*ENCODING)) for text in texts]
        self.starts.extend(list(accumulate(lengths, initial=len(self.data)))[:-1])
        self.lengths.extend(lengths)
        self.data += joined.encode(*ENCODING)

    def extend_within(self, texts: Sequence[str], wholes: Sequence[str], places: Texts) -> None:
        """Add texts, each of which may be the beginning or the end of a whole one, which has a place in the bytes."""
        if all(map(str.startswith, wholes, texts)) and "".join(texts).isascii():
            self.starts.extend(places.starts.tolist())
            self.lengths.extend(map(len, texts))
            return
        data = self.data
        for text, (start, end) in zip(texts, places.places(), strict=True):
            part = text.encode(*ENCODING)
            if data.startswith(part, start, end):
                place = start
            elif data.endswith(part, start, end):
                place = end - len(part)
            else:
                place = len(data)
                data += part
            self.starts.append(place)
            self.lengths.append(len(part))

    def fill(self, count: int) -> None:
        """Add empty texts, until there are so many."""
        missing = count - len(self.starts)
        self.starts.extend(array("Q", bytes(8 * missing)))
        self.lengths.extend(array("I", bytes(4 * missing)))

    def build(self, start: int = 0) -> Texts:
        """Return the texts from number `start` on."""
        return Texts(self.data, compact(self.starts[start:]), compact(self.lengths[start:]))


class CodesBuilder:
    """Builder of `Codes`, which begin with some `values` that no row has yet."""

    def __init__(self, values: Sequence[Any] = ()) -> None:
        self.numbers: dict[Any, int] = {value: number for number, value in enumerate(values)}
        self.codes = array("i")

    def numbered(self, values: Sequence[Any]) -> list[int]:
        """Return the number of each value, new ones for those that are new."""
        for value in set(values).difference(self.numbers):
            self.numbers[value] = len(self.numbers)
        return list(map(self.numbers.__getitem__, values))

    def extend(self, values: Sequence[Any]) -> None:
        self.codes.extend(self.numbered(values))

    def build(self) -> "Codes":
        return Codes(list(self.numbers), compact(self.codes))


@dataclass(eq=False, repr=False)
class Codes:
    """Values of which few differ."""

    values: list[Any]  # the distinct ones
    codes: Numbers  # number of each among them

    def __iter__(self) -> Iterator[Any]:
        return map(self.values.__getitem__, self.codes.tolist())

    def take(self, positions: "Numbers | slice") -> "Codes":
        return Codes(self.values, self.codes[positions])


class TextIndex:
    """Index of texts, which finds their positions; of texts that come several times, that of the first.

    Attributes:
        differ: Whether it is sure that none comes twice.
    """

    def __init__(self, texts: Texts) -> None:
        self.texts = texts
        hashes = hashes_of(texts, len(texts))
        order = np.argsort(hashes, kind="stable")
        self.order, self.hashes = compact(order), hashes[order]
        self.differ = bool((self.hashes[1:] != self.hashes[:-1]).all())

    def find(self, wanted: Sequence[str]) -> Numbers:
        """Return the position of each text, int64 (N,), -1 where there is none such."""
        hashes = hashes_of(wanted, len(wanted))
        places, positions = np.searchsorted(self.hashes, hashes), np.full(len(wanted), -1)
        rows = np.arange(len(wanted))  # of which it is not known yet
        while len(rows):
            rows = rows[places[rows] < len(self.hashes)]
            rows = rows[self.hashes[places[rows]] == hashes[rows]]
            candidates = self.order[places[rows]].astype(np.int64)
            texts = wanted if len(rows) == len(wanted) else [wanted[row] for row in rows.tolist()]
            same = np.fromiter(map(eq, self.texts.take(candidates).decoded(), texts), bool, len(rows))
            positions[rows[same]] = candidates[same]
            rows = rows[~same]  # another text of the same hash
            places[rows] += 1
        return positions


def hashes_of(keys: Iterable[Any], count: int) -> NDArray[np.int64]:
    """Hash keys, equal ones alike, in this process."""
    return np.fromiter(map(hash, keys), np.int64, count)


def repeated(keys: Iterable[Any], count: int) -> list[int]:
    """Return the positions of keys that may come several times, in order; all others come once."""
    hashes = hashes_of(keys, count)
    ranked = np.sort(hashes)
    repeats = ranked[1:][ranked[1:] == ranked[:-1]]
    return np.flatnonzero(np.isin(hashes, repeats)).tolist() if len(repeats) else []


def compact(numbers: Any) -> Numbers:
    """Return numbers >= 0 in the smallest type that holds them."""
    values = np.asarray(numbers)
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))


def in_parts(count: int, size: int = AT_ONCE) -> Iterator[slice]:
    """Yield the parts of so many rows that are worked on at once."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))
