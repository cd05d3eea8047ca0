"""Sixteen float32 side by side, as one value in numba's compiled functions.

`load` and `store` move them, `+ - * /`, `minimum`, `maximum`, `square_root` and
`floor` compute on each, `spread` puts one number into all. LLVM makes of them
whatever vector instructions the processor has.

Plain loops would be vectorised too if LLVM could be told that arrays do not overlap;
with more than a few arrays in one loop it gives up checking and computes one number at
a time. TV-L1's passes have ten.

Arrays are flat, contiguous float32; nothing checks their bounds.
"""

import operator

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

COUNT = 16  # the widest vectors of today; where they are half as wide, two are used
_VECTOR = ir.VectorType(ir.FloatType(), COUNT)
# A product and a sum may become one instruction, but nothing is reordered: the result
# depends on the kind of processor and on nothing else.
_FLAGS = ("contract",)


class Lanes(types.Type):
    def __init__(self):
        super().__init__(name="Lanes")


LANES = Lanes()


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, numba_type):
        super().__init__(manager, numba_type, _VECTOR)


@intrinsic
def load(typing_context, array, index):
    """The lanes array[index : index + 16]."""

    def generate(context, builder, signature, args):
        return builder.load(_pointer(context, builder, signature, args), align=4)

    return LANES(array, index), generate


@intrinsic
def store(typing_context, array, index, lanes):
    """array[index : index + 16] = lanes."""

    def generate(context, builder, signature, args):
        pointer = _pointer(context, builder, signature, args)
        builder.store(args[2], pointer, align=4)
        return context.get_dummy_value()

    return types.void(array, index, lanes), generate


def _pointer(context, builder, signature, args):
    array_type, index_type, *_ = signature.args
    index = context.cast(builder, args[1], index_type, types.intp)
    data = context.make_array(array_type)(context, builder, args[0]).data
    return builder.bitcast(builder.gep(data, [index]), _VECTOR.as_pointer())


@intrinsic
def spread(typing_context, number):
    """A number in all lanes."""

    def generate(context, builder, signature, args):
        number = context.cast(builder, args[0], signature.args[0], types.float32)
        undefined = ir.Constant(_VECTOR, ir.Undefined)
        first = builder.insert_element(undefined, number, _int32(0))
        return builder.shuffle_vector(first, first, _indices([0] * COUNT))

    return LANES(number), generate


@intrinsic
def total(typing_context, lanes):
    """The sum of all lanes, float32: halves are added, again and again."""

    def generate(context, builder, signature, args):
        return builder.extract_element(_fold(builder, args[0], 1), _int32(0))

    return types.float32(lanes), generate


@intrinsic
def totals_of_3(typing_context, lanes):
    """The sums of lanes 0, 4, 8, 12, of 1, 5, 9, 13 and of 2, 6, 10, 14."""

    def generate(context, builder, signature, args):
        sums = _fold(builder, args[0], 4)
        numbers = [builder.extract_element(sums, _int32(i)) for i in range(3)]
        return context.make_tuple(builder, signature.return_type, numbers)

    return types.UniTuple(types.float32, 3)(lanes), generate


def _fold(builder, vector, width):
    """Adds the upper half to the lower until `width` lanes are left."""
    while vector.type.count > width:
        half = vector.type.count // 2
        low = builder.shuffle_vector(vector, vector, _indices(range(half)))
        high = builder.shuffle_vector(vector, vector, _indices(range(half, 2 * half)))
        vector = builder.fadd(low, high, flags=_FLAGS)
    return vector


def _int32(value):
    return ir.Constant(ir.IntType(32), value)


def _indices(values):
    values = list(values)
    return ir.Constant(ir.VectorType(ir.IntType(32), len(values)), values)


def _of_two(instruction):
    """A function of two lanes that instruction(builder, a, b) computes."""

    @intrinsic
    def compute(typing_context, a, b):
        def generate(context, builder, signature, args):
            return instruction(builder, *args)

        return LANES(LANES, LANES), generate

    return compute


# Selections, not LLVM's minnum: that one would also have to look for NaN.
minimum = _of_two(lambda builder, a, b: builder.select(_less(builder, a, b), a, b))
maximum = _of_two(lambda builder, a, b: builder.select(_less(builder, b, a), a, b))


def _less(builder, a, b):
    return builder.fcmp_ordered("<", a, b)


def _define(symbol, method):
    compute = _of_two(
        lambda builder, a, b: getattr(builder, method)(a, b, flags=_FLAGS)
    )

    @overload(symbol, inline="always")
    def of_lanes_or_number(a, b):
        if a is LANES and b is LANES:
            return lambda a, b: compute(a, b)
        if a is LANES and isinstance(b, types.Float):
            return lambda a, b: compute(a, spread(b))
        if isinstance(a, types.Float) and b is LANES:
            return lambda a, b: compute(spread(a), b)
        return None


_define(operator.add, "fadd")
_define(operator.sub, "fsub")
_define(operator.mul, "fmul")
_define(operator.truediv, "fdiv")


def _of_one(name):
    """The function of lanes that LLVM calls llvm.<name>."""

    @intrinsic
    def compute(typing_context, lanes):
        def generate(context, builder, signature, args):
            function = cgutils.get_or_insert_function(
                builder.module,
                ir.FunctionType(_VECTOR, [_VECTOR]),
                f"llvm.{name}.v{COUNT}f32",
            )
            return builder.call(function, args)

        return LANES(lanes), generate

    return compute


square_root = _of_one("sqrt")
floor = _of_one("floor")
