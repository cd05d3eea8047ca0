"""Medians of 3x3 and 5x5 px in `keras.ops`: minima and maxima of shifted planes.

No branches and no sorting in memory: XLA makes one loop of it. What windows share is
computed once: the pixels of a row, two of them and five of them in order, and above
one another two in order of each rank.
"""

from keras import ops


def median(plane, size):
    """`cv2.medianBlur`: `[B, H, W]` -> the same, for a size of 3 or 5 px."""
    for axis in (1, 2):
        first, last = _part(plane, 0, 1, axis), _part(plane, -1, None, axis)
        border = size // 2
        plane = ops.concatenate([first] * border + [plane] + [last] * border, axis)
    return _median_of_9(plane) if size == 3 else _median_of_25(plane)


def _part(plane, start, stop, axis):
    if axis == 1:
        return plane[:, start:stop]
    return plane[:, :, start:stop]


def _median_of_9(plane):
    """Of 3 sorted rows: the largest least, the middle, the smallest largest's."""
    low, middle, high = _sort3(*_three(plane, axis=2))
    a, b, c = _three(low, axis=1)
    low = ops.maximum(b, c)  # a <= b
    _, middle, _ = _sort3(*_three(middle, axis=1))
    a, b, c = _three(high, axis=1)
    high = ops.minimum(a, c)
    return _sort3(*_order(low, high), middle)[1]


def _median_of_25(plane):
    """Of 5 sorted rows.

    With the ranks sorted downwards as well, the number of rank i (from 1) at place j
    is at least as large as i * j of the 25 and at most as large as (6 - i) * (6 - j).
    The median is the 13th, so only 13 of them can be it: two of the first rank, three
    of the next ones, two of the last. Of the others 6 are smaller and 6 larger, so it
    is the 7th of the 13.
    """
    rank1, rank2, rank3, rank4, rank5 = (
        _five(rank, axis=1) for rank in _sort5(*_five(plane, axis=2))
    )
    f = _merge2(*_largest2(*rank1), *_smallest2(*rank5))
    g = _merge3(_largest3(*rank2), _smallest3(*rank4))
    m2, m3, m4 = _middle3(*rank3)
    # Odd-even merge of the middle three with the four of the outer ranks.
    h0, p1, p2, p3 = _merge2(m2, m4, f[0], f[2])
    q0, q1, q2 = _insert(m3, f[1], f[3])
    h = (h0, *_order(q0, p1), *_order(q1, p2), *_order(q2, p3))
    # The 7th of g, 6 in order, and h, 7 in order: i of g and 7 - i of h are below.
    seventh = h[6]
    for i in range(6):
        seventh = ops.minimum(seventh, ops.maximum(g[i], h[5 - i]))
    return seventh


def _three(plane, axis):
    """(a, b, c): three pixels in a line, of which a <= b have been put in order."""
    low, high = _order(_part(plane, 0, -1, axis), _part(plane, 1, None, axis))
    a, b = _part(low, 0, -1, axis), _part(high, 0, -1, axis)
    return a, b, _part(plane, 2, None, axis)


def _five(plane, axis):
    """(a, b, c, d, e): five in a line; a <= b and d <= e have been put in order."""
    low, high = _order(_part(plane, 0, -1, axis), _part(plane, 1, None, axis))
    a, b = _part(low, 0, -3, axis), _part(high, 0, -3, axis)
    d, e = _part(low, 3, None, axis), _part(high, 3, None, axis)
    return a, b, _part(plane, 2, -2, axis), d, e


def _order(a, b):
    return ops.minimum(a, b), ops.maximum(a, b)


def _insert(new, *ordered):
    result = []
    for old in ordered:
        low, new = _order(new, old)
        result.append(low)
    return *result, new


def _merge2(a, b, c, d):
    """Sorts four of which a <= b and c <= d."""
    a, c = _order(a, c)
    b, d = _order(b, d)
    b, c = _order(b, c)
    return a, b, c, d


def _merge3(abc, ghi):
    """Sorts two sorted triples into six: Batcher's odd-even merge."""
    first, c, g, last = _merge2(abc[0], abc[2], ghi[0], ghi[2])
    b, h = _order(abc[1], ghi[1])
    return first, *_order(b, c), *_order(h, g), last


# Of what `_three` and `_five` give.


def _sort3(a, b, c):
    return _insert(c, a, b)


def _sort5(a, b, c, d, e):
    return _insert(c, *_merge2(a, b, d, e))


def _largest2(a, b, c, d, e):
    """In order, as all below."""
    low, high = _order(b, e)
    low = ops.maximum(low, ops.maximum(a, d))
    return ops.maximum(low, ops.minimum(high, c)), ops.maximum(high, c)


def _smallest2(a, b, c, d, e):
    low, high = _order(a, d)
    high = ops.minimum(high, ops.minimum(b, e))
    return ops.minimum(low, c), ops.minimum(high, ops.maximum(low, c))


def _largest3(a, b, c, d, e):
    low, high = _order(b, e)
    least, low = _order(low, ops.maximum(a, d))
    return _insert(ops.maximum(least, c), low, high)


def _smallest3(a, b, c, d, e):
    low, high = _order(a, d)
    high, most = _order(high, ops.minimum(b, e))
    return _insert(ops.minimum(most, c), low, high)


def _middle3(a, b, c, d, e):
    low, second, third, high = _merge2(a, b, d, e)
    return _insert(ops.minimum(ops.maximum(c, low), high), second, third)
