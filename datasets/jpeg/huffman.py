"""Huffman tables of JPEGs (ITU-T T.81, annexes C and K.2)."""

import heapq
from collections.abc import Sequence
from typing import NamedTuple

TABLES = 8  # DC 0-3, AC 0-3
LONGEST = 16  # bits of a code


class Table(NamedTuple):
    """A Huffman table: number of codes of 1 to 16 bits, and the symbols in the order of their codes."""

    lengths: bytes
    values: bytes


def best_table(counts: Sequence[int]) -> Table:
    """The shortest Huffman code of symbols 0-255 by their counts, of at most 16 bits, none of them all ones.

    The reserved code and the limit are those of T.81, annex K.2.
    """
    reserved = 256
    heap: list[tuple[int, int, tuple[int, ...]]] = [(0, reserved, (reserved,))]
    heap += [(count, symbol, (symbol,)) for symbol, count in enumerate(counts) if count]
    heapq.heapify(heap)
    depth = dict.fromkeys((symbol for _, symbol, _ in heap), 0)
    while len(heap) > 1:
        first, second = heapq.heappop(heap), heapq.heappop(heap)
        for symbol in first[2] + second[2]:
            depth[symbol] += 1
        heapq.heappush(heap, (first[0] + second[0], max(first[1], second[1]), first[2] + second[2]))
    numbers = [0] * (max(depth.values()) + LONGEST + 1)
    for length in depth.values():
        numbers[max(length, 1)] += 1
    for length in range(len(numbers) - 1, LONGEST, -1):
        while numbers[length]:  # a pair moves up: one takes its parent's place, the other parts a shorter code
            shorter = max(i for i in range(1, length - 1) if numbers[i])
            numbers[length] -= 2
            numbers[length - 1] += 1
            numbers[shorter + 1] += 2
            numbers[shorter] -= 1
    longest = max(length for length, number in enumerate(numbers) if number)
    numbers[longest] -= 1  # the reserved symbol has the last code, which would be all ones
    symbols = sorted(depth.keys() - {reserved}, key=lambda symbol: (-counts[symbol], symbol))
    return Table(bytes(numbers[1 : LONGEST + 1]), bytes(symbols))
