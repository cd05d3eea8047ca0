"""Medians of 3x3 and 5x5 px, in place: minima and maxima of lanes, no branches.

The columns of a window are sorted first, once for all windows that share them.
"""

from flow.lanes import COUNT, load, maximum, minimum, store
from flow.tvl1_planes import compiled, scratch_row, whole_lanes


@compiled
def median(a, plane, layout, size):
    """Replaces each pixel by the median around it; the border is repeated.

    Args:
      a: the planes.
      plane: where the plane's first pixel is.
      size: 3 or 5, px.
    """
    height, width, pitch = layout.height, layout.width, layout.pitch
    room = scratch_row(layout)
    # All lanes are filled, those behind the last pixel too, so that what is read of
    # the scratch has been written.
    all_lanes = whole_lanes(width) + 4
    saved = layout.scratch
    columns = saved + 3 * room
    for y in range(height):
        row = plane + y * pitch
        a[row - 2] = a[row - 1] = a[row]
        a[row + width] = a[row + width + 1] = a[row + width - 1]
    for y in range(height):
        # All rows begin 2 px left of the first pixel. Of the rows above, which are
        # medians already, the pixels themselves are kept.
        row = plane + y * pitch - 2
        here = saved + y % 3 * room
        for x in range(0, all_lanes, COUNT):
            store(a, here + x, load(a, row + x))
        above1 = saved + max(y - 1, 0) % 3 * room
        above2 = saved + max(y - 2, 0) % 3 * room
        below1 = plane + min(y + 1, height - 1) * pitch - 2
        below2 = plane + min(y + 2, height - 1) * pitch - 2
        for x in range(0, all_lanes, COUNT):
            p = load(a, above1 + x)
            q = load(a, here + x)
            r = load(a, below1 + x)
            if size == 3:
                _keep(a, columns + x, room, _sort3(p, q, r))
            else:
                o = load(a, above2 + x)
                s = load(a, below2 + x)
                _keep(a, columns + x, room, _sort5(o, p, q, r, s))
        for x in range(0, width, COUNT):
            if size == 3:
                store(a, row + 2 + x, _middle_of_9(a, columns + 1 + x, room))
            else:
                store(a, row + 2 + x, _middle_of_25(a, columns + x, room))


@compiled
def _keep(a, index, room, rows):
    for number, lanes in enumerate(rows):
        store(a, index + number * room, lanes)


@compiled
def _neighbours(a, index):
    return (
        load(a, index),
        load(a, index + 1),
        load(a, index + 2),
        load(a, index + 3),
        load(a, index + 4),
    )


@compiled
def _middle_of_9(a, index, room):
    """Of 3 sorted columns: the largest least, the middle, the smallest largest's."""
    a0, a1, a2, _, _ = _neighbours(a, index)
    b0, b1, b2, _, _ = _neighbours(a, index + room)
    c0, c1, c2, _, _ = _neighbours(a, index + 2 * room)
    _, _, low = _sort3(a0, a1, a2)
    _, middle, _ = _sort3(b0, b1, b2)
    high, _, _ = _sort3(c0, c1, c2)
    return _sort3(low, middle, high)[1]


@compiled
def _middle_of_25(a, index, room):
    """Of 5 sorted columns.

    With its rows sorted as well, the number in row i and column j (from 1) is at least
    as large as i * j of the 25 and at most as large as (6 - i) * (6 - j). The median
    is the 13th, so only 13 of them can be it: two of the first row, three of the next
    ones, two of the last. Of the others 6 are smaller and 6 larger, so it is the 7th
    of the 13. What is sorted in vain is not computed: the compiler leaves it out.
    """
    row1 = _sort5(*_neighbours(a, index))
    row5 = _sort5(*_neighbours(a, index + 4 * room))
    f0, f1, f2, f3 = _merge2(row1[3], row1[4], row5[0], row5[1])
    row2 = _sort5(*_neighbours(a, index + room))
    row4 = _sort5(*_neighbours(a, index + 3 * room))
    g0, g1, g2, g3, g4, g5 = _merge3(row2[2:], row4[:3])
    row3 = _sort5(*_neighbours(a, index + 2 * room))
    # Odd-even merge of row 3's three with the four of rows 1 and 5.
    h0, p1, p2, p3 = _merge2(row3[1], row3[3], f0, f2)
    q0, q1, q2 = _sort3(row3[2], f1, f3)
    h1, h2 = _order(q0, p1)
    h3, h4 = _order(q1, p2)
    h5, h6 = _order(q2, p3)
    # The 7th of g, 6 in order, and h, 7 in order: i of g and 7 - i of h are below.
    seventh = minimum(h6, maximum(g0, h5))
    seventh = minimum(seventh, maximum(g1, h4))
    seventh = minimum(seventh, maximum(g2, h3))
    seventh = minimum(seventh, maximum(g3, h2))
    seventh = minimum(seventh, maximum(g4, h1))
    return minimum(seventh, maximum(g5, h0))


@compiled
def _order(a, b):
    return minimum(a, b), maximum(a, b)


@compiled
def _sort3(a, b, c):
    a, b = _order(a, b)
    b, c = _order(b, c)
    a, b = _order(a, b)
    return a, b, c


@compiled
def _sort5(a, b, c, d, e):
    a, b = _order(a, b)
    d, e = _order(d, e)
    c, e = _order(c, e)
    c, d = _order(c, d)
    b, e = _order(b, e)
    a, d = _order(a, d)
    a, c = _order(a, c)
    b, d = _order(b, d)
    b, c = _order(b, c)
    return a, b, c, d, e


@compiled
def _merge2(a, b, c, d):
    """Sorts four of which a <= b and c <= d."""
    a, c = _order(a, c)
    b, d = _order(b, d)
    b, c = _order(b, c)
    return a, b, c, d


@compiled
def _merge3(abc, ghi):
    """Sorts two sorted triples into six: Batcher's odd-even merge."""
    first, c, g, last = _merge2(abc[0], abc[2], ghi[0], ghi[2])
    b, h = _order(abc[1], ghi[1])
    second, third = _order(b, c)
    fourth, fifth = _order(h, g)
    return first, second, third, fourth, fifth, last
