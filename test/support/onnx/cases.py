"""Random models of one or a few ONNX operators, and what ONNX Runtime makes of random inputs.

    cases.py OUT SEED COUNT     writes OUT/<i>.onnx, OUT/<i>.npz (in_<k>, out_<k>), and prints the list as JSON
    cases.py --check OUT        checks OUT/<i>.written.onnx: onnx.checker, shape inference, and ONNX Runtime's results against <i>.npz
"""
import json
import sys
import warnings

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

warnings.filterwarnings('ignore')
ort.set_default_logger_severity(4)
F, I = np.float32, np.int64
GENERATORS = []


def generator(f):
    GENERATORS.append(f)
    return f


class Case:
    """Collects operands and nodes; an operand is an input of the graph or an initializer."""

    def __init__(self, rng, opset):
        self.rng, self.opset = rng, opset
        self.inputs, self.initializers, self.nodes, self.outputs = [], [], [], []
        self.count = 0
        self.fixed = set()  # Axes that no exporter leaves open: ranks depend on them.

    def name(self, prefix):
        self.count += 1
        return f'{prefix}{self.count}'

    def x(self, array):
        name = self.name('x')
        self.inputs.append((name, np.asarray(array)))
        return name

    def c(self, array):
        name = self.name('w')
        array = np.asarray(array)
        if self.rng.random() < 0.3:
            self.nodes.append(helper.make_node('Constant', [], [name], value=numpy_helper.from_array(array)))
        else:
            self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def either(self, array):
        return self.c(array) if self.rng.random() < 0.4 else self.x(array)

    def op(self, op_type, inputs, n=1, **attributes):
        outs = [self.name('y') for _ in range(n)]
        attributes = {k: v for k, v in attributes.items() if v is not None}
        self.nodes.append(helper.make_node(op_type, inputs, outs, name=self.name('n'), **attributes))
        return outs[0] if n == 1 else outs

    def out(self, *names):
        self.outputs.extend(names)

    def f(self, *shape, low=-2.0, high=2.0):
        return self.rng.uniform(low, high, shape).astype(F)

    def i(self, *shape, low=-5, high=6, dtype=I):
        return self.rng.integers(low, high, shape).astype(dtype)

    def shape(self, low=1, high=4, most=5):
        return tuple(int(v) for v in self.rng.integers(1, most, int(self.rng.integers(low, high + 1))))

    def pick(self, *options):
        return options[int(self.rng.integers(len(options)))]

    def maybe(self, value, p=0.5):
        return value if self.rng.random() < p else None

    def axis(self, rank):
        return int(self.rng.integers(-rank, rank))

    def model(self):
        dynamic = self.rng.random() < 0.5
        inputs = []
        for name, array in self.inputs:
            shape = [f'{name}_d{i}' if dynamic and (name, i) not in self.fixed and self.rng.random() < 0.6 else d for i, d in enumerate(array.shape)]
            inputs.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), shape))
        outputs = [helper.make_empty_tensor_value_info(o) for o in self.outputs]
        graph = helper.make_graph(self.nodes, 'case', inputs, outputs, self.initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', self.opset)])
        model.ir_version = 8 if self.opset < 19 else 10
        return model


# ---- single elements --------------------------------------------------------------------------------------------------------

PLAIN = 'Abs Relu Sigmoid Tanh Softsign Exp Floor Ceil Neg Sign Sin Cos Tan Atan Sinh Cosh Asinh Erf Round Softplus Identity HardSwish Mish Reciprocal'


@generator
def plain(c):
    op = c.pick(*PLAIN.split())
    if (op == 'HardSwish' and c.opset < 14) or (op == 'Mish' and c.opset < 18):
        op = 'Relu'
    c.out(c.op(op, [c.x(c.f(*c.shape(0)))]))


@generator
def domain(c):
    op, low, high = c.pick(('Log', 0.1, 3), ('Sqrt', 0, 3), ('Asin', -1, 1), ('Acos', -1, 1), ('Acosh', 1, 3), ('Atanh', -0.9, 0.9))
    c.out(c.op(op, [c.x(c.f(*c.shape(), low=low, high=high))]))


@generator
def parametric(c):
    op, attributes = c.pick(
        ('LeakyRelu', {'alpha': 0.3}), ('LeakyRelu', {}), ('Elu', {'alpha': 0.7}), ('Selu', {}), ('Celu', {'alpha': 1.5}),
        ('HardSigmoid', {}), ('HardSigmoid', {'alpha': 1 / 6, 'beta': 0.5}), ('ThresholdedRelu', {'alpha': 0.5}), ('Selu', {'alpha': 1.5, 'gamma': 0.8}))
    if op == 'Celu' and c.opset < 12:
        op, attributes = 'Elu', {}
    c.out(c.op(op, [c.x(c.f(*c.shape()))], **attributes))


@generator
def gelu(c):
    c.opset = max(c.opset, 20)
    c.out(c.op('Gelu', [c.x(c.f(*c.shape()))], approximate=c.pick('none', 'tanh')))


def broadcastable(c):
    shape = c.shape(0, 4)
    other = tuple(1 if c.rng.random() < 0.3 else d for d in shape[int(c.rng.integers(0, len(shape) + 1)):])
    return (shape, other) if c.rng.random() < 0.5 else (other, shape)


@generator
def binary(c):
    a, b = broadcastable(c)
    op = c.pick('Add', 'Sub', 'Mul', 'Div', 'Max', 'Min', 'Pow')
    if c.rng.random() < 0.3:
        low = 1 if op in ('Div', 'Pow') else -5
        x, y = c.i(*a), c.i(*b, low=low, high=4)
        dtype = c.pick(np.int32, np.int64)
        c.out(c.op(op, [c.either(x.astype(dtype)) if a else c.x(x.astype(dtype)), c.x(y.astype(dtype))]))
        return
    low = 0.2 if op in ('Div', 'Pow') else -2
    c.out(c.op(op, [c.x(c.f(*a, low=low)), c.either(c.f(*b, low=low))]))


@generator
def power_constant(c):
    c.out(c.op('Pow', [c.x(c.f(*c.shape(1), low=0.1)), c.c(c.pick(F(2), F(0.5), F(3), F(-1)).reshape(c.pick((), (1,))))]))


@generator
def variadic(c):
    shape = c.shape()
    op = c.pick('Sum', 'Max', 'Min', 'Mean')
    c.out(c.op(op, [c.x(c.f(*shape)) for _ in range(int(c.rng.integers(1, 4)))]))


@generator
def compare(c):
    a, b = broadcastable(c)
    op = c.pick('Equal', 'Less', 'Greater', 'LessOrEqual', 'GreaterOrEqual')
    if op.endswith('OrEqual') and c.opset < 12:
        op = 'Less'
    dtype = c.pick(F, I)
    c.out(c.op(op, [c.x(c.i(*a, low=-1, high=2).astype(dtype)), c.x(c.i(*b, low=-1, high=2).astype(dtype))]))


@generator
def logic(c):
    a, b = broadcastable(c)
    x, y = c.x(c.rng.random(a) < 0.5), c.x(c.rng.random(b) < 0.5)
    op = c.pick('And', 'Or', 'Xor', 'Not')
    c.out(c.op(op, [x] if op == 'Not' else [x, y]) if op != 'Not' else c.op('Not', [c.op('And', [x, y])]))


@generator
def bitwise(c):
    c.opset = max(c.opset, 18)
    shape = c.shape()
    op = c.pick('BitwiseAnd', 'BitwiseOr', 'BitwiseXor', 'BitwiseNot')
    operands = [c.x(c.i(*shape)), c.x(c.i(*shape))]
    c.out(c.op(op, operands[:1] if op == 'BitwiseNot' else operands) if op != 'BitwiseNot' else c.op('BitwiseNot', [c.op('BitwiseAnd', operands)]))


@generator
def where(c):
    a, b = broadcastable(c)
    c.out(c.op('Where', [c.x(c.rng.random(a) < 0.5), c.x(c.f(*b)), c.either(c.f())]))


@generator
def cast(c):
    x = c.x(c.pick(c.f(*c.shape(), low=0, high=100), c.i(*c.shape(), low=0), c.rng.random(c.shape()) < 0.5))
    c.out(c.op('Cast', [x], to=c.pick(TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL, TensorProto.DOUBLE)))


@generator
def clip(c):
    integer = c.opset >= 12 and c.rng.random() < 0.3
    x = c.i(*c.shape()) if integer else c.f(*c.shape())
    kind = x.dtype.type
    low = c.pick('', c.either(kind(-1)))
    high = c.pick('', c.either(kind(1)))
    c.out(c.op('Clip', [c.x(x), low, high]))


@generator
def prelu(c):
    shape = c.shape(2, 4)
    slope = c.pick((1,), (shape[1],) + (1,) * (len(shape) - 2), shape[-1:])
    c.out(c.op('PRelu', [c.x(c.f(*shape)), c.either(c.f(*slope))]))


@generator
def mod(c):
    shape = c.shape()
    if c.rng.random() < 0.5:
        c.out(c.op('Mod', [c.x(c.i(*shape)), c.x(c.i(*shape, low=1, high=4) * c.pick(1, -1))], fmod=c.pick(None, 1)))
    else:
        c.out(c.op('Mod', [c.x(c.f(*shape)), c.x(c.f(*shape, low=0.5))], fmod=1))


@generator
def nonfinite(c):
    x = c.f(*c.shape(1))
    x.flat[0] = c.pick(np.inf, -np.inf, np.nan)
    op = c.pick('IsNaN', 'IsInf')
    attributes = {'detect_negative': c.pick(0, 1), 'detect_positive': c.pick(0, 1)} if op == 'IsInf' else {}
    c.out(c.op(op, [c.x(x)], **attributes))


# ---- shapes -----------------------------------------------------------------------------------------------------------------


@generator
def reshape(c):
    shape = c.shape(2, 4)
    total = int(np.prod(shape))
    target = c.pick([-1], [shape[0], -1], [0, -1], [1, total], [0, 0, -1][: len(shape)], [-1, shape[-1]])
    c.out(c.op('Reshape', [c.x(c.f(*shape)), c.c(np.array(target, I))]))


@generator
def reshape_by_shape(c):
    """As exporters write it: sizes taken from the shape, and put together again."""
    shape = c.shape(3, 4)
    x = c.x(c.f(*shape))
    size = c.op('Shape', [x])
    batch = c.op('Gather', [size, c.c(np.array(0, I))], axis=0)
    second = c.op('Slice', [size, c.c(np.array([1], I)), c.c(np.array([2], I))])
    one = c.op('Unsqueeze', [batch, c.c(np.array([0], I))]) if c.opset >= 13 else c.op('Unsqueeze', [batch], axes=[0])
    parts = c.pick([one, c.c(np.array([-1], I))], [one, second, c.c(np.array([-1], I))], [c.op('Mul', [one, second]), c.c(np.array([-1], I))])
    c.out(c.op('Reshape', [x, c.op('Concat', parts, axis=0)]))


@generator
def flatten(c):
    shape = c.shape(1, 4)
    c.out(c.op('Flatten', [c.x(c.f(*shape))], axis=c.maybe(int(c.rng.integers(-len(shape), len(shape) + 1)))))


@generator
def transpose(c):
    shape = c.shape(1, 5)
    c.out(c.op('Transpose', [c.x(c.f(*shape))], perm=c.maybe([int(v) for v in c.rng.permutation(len(shape))])))


@generator
def squeeze(c):
    shape = [1 if c.rng.random() < 0.5 else d for d in c.shape(2, 4)]
    shape[0] = 1
    axes = [i if c.rng.random() < 0.5 else i - len(shape) for i, d in enumerate(shape) if d == 1]
    x = c.x(c.f(*shape))
    if c.opset >= 13:
        c.out(c.op('Squeeze', [x, c.c(np.array(axes, I))]))
    else:
        c.out(c.op('Squeeze', [x], axes=axes))


@generator
def unsqueeze(c):
    shape = c.shape(0, 3)
    rank = len(shape) + 2
    axes = [int(a) - (rank if c.rng.random() < 0.4 else 0) for a in c.rng.permutation(rank)[:2]]
    x = c.x(c.f(*shape))
    c.out(c.op('Unsqueeze', [x, c.c(np.array(axes, I))]) if c.opset >= 13 else c.op('Unsqueeze', [x], axes=axes))


@generator
def slicing(c):
    shape = c.shape(1, 4, 7)
    n = int(c.rng.integers(1, len(shape) + 1))
    axes = [int(a) for a in c.rng.permutation(len(shape))[:n]]
    starts, ends, steps = [], [], []
    for a in axes:
        step = c.pick(1, 1, 1, 2, -1, -2)
        steps.append(step)
        starts.append(c.pick(0, 1, -2) if step > 0 else c.pick(-1, shape[a] - 1, 2 ** 31 - 1))
        ends.append(c.pick(shape[a], 2 ** 62, -1) if step > 0 else c.pick(0, -(2 ** 62), -shape[a] - 1))
    axes = [a - len(shape) if c.rng.random() < 0.3 else a for a in axes]
    operands = [c.x(c.f(*shape))] + [c.c(np.array(v, I)) for v in (starts, ends, axes)]
    if any(s != 1 for s in steps) or c.rng.random() < 0.3:
        operands.append(c.c(np.array(steps, I)))
    c.out(c.op('Slice', operands))


@generator
def concat(c):
    shape = list(c.shape(1, 4))
    axis = c.axis(len(shape))
    parts = []
    for _ in range(int(c.rng.integers(1, 4))):
        own = list(shape)
        own[axis] = int(c.rng.integers(1, 4))
        parts.append(c.either(c.f(*own)) if parts else c.x(c.f(*own)))
    c.out(c.op('Concat', parts, axis=axis))


@generator
def split(c):
    shape = list(c.shape(1, 3))
    axis = c.axis(len(shape))
    sizes = [int(v) for v in c.rng.integers(1, 3, 3)]
    uneven = c.rng.random() < 0.6
    shape[axis] = sum(sizes) if uneven else 6
    x = c.x(c.f(*shape))
    if uneven and c.opset >= 13:
        c.out(*c.op('Split', [x, c.c(np.array(sizes, I))], 3, axis=axis))
    elif uneven:
        c.out(*c.op('Split', [x], 3, axis=axis, split=sizes))
    else:
        c.out(*c.op('Split', [x], 3, axis=axis, **({'num_outputs': 3} if c.opset >= 18 else {})))


@generator
def expand(c):
    a, b = broadcastable(c)
    target = c.c(np.array(b, I))
    if c.rng.random() < 0.4 and b:
        target = c.op('Shape', [c.x(c.f(*b))])
    c.out(c.op('Expand', [c.x(c.f(*a)), target]))


@generator
def tile(c):
    shape = c.shape(1, 3)
    c.out(c.op('Tile', [c.x(c.f(*shape)), c.c(c.i(len(shape), low=1, high=4))]))


@generator
def pad(c):
    mode = c.pick('constant', 'constant', 'reflect', 'edge') if c.opset < 19 else c.pick('constant', 'reflect', 'edge', 'wrap')
    shape = c.shape(1, 4, 6) if mode != 'reflect' else tuple(int(v) for v in c.rng.integers(3, 6, int(c.rng.integers(2, 5))))
    high = 3 if mode == 'constant' else 2
    pads = c.i(2 * len(shape), low=-1 if mode == 'constant' and min(shape) > 2 else 0, high=high)
    if mode == 'wrap':
        pads = np.minimum(pads, min(shape) - 1)
    operands = [c.x(c.f(*shape)), c.c(pads)]
    if mode == 'constant' and c.rng.random() < 0.5:
        operands.append(c.c(F(1.5)))
    c.out(c.op('Pad', operands, mode=mode))


@generator
def constants(c):
    x = c.x(c.f(*c.shape(1, 3)))
    shape = c.op('Shape', [x])
    value = numpy_helper.from_array(c.pick(np.array([2.5], F), np.array([3], I)))
    c.out(c.op('ConstantOfShape', [shape], value=c.maybe(value)), c.op('Size', [x]))


@generator
def shape_bounds(c):
    c.opset = max(c.opset, 15)
    c.out(c.op('Shape', [c.x(c.f(*c.shape(2, 4)))], start=c.pick(None, 1, -2), end=c.pick(None, -1, 2)))


@generator
def ranges(c):
    if c.rng.random() < 0.5:
        operands = [c.either(np.array(v, I)) for v in (1, 9, c.pick(1, 2, 3))]
    else:
        operands = [c.either(np.array(v, F)) for v in (0.5, 4.0, 0.75)]
    c.out(c.op('Range', operands))


@generator
def blocks(c):
    if c.rng.random() < 0.5:
        c.out(c.op('DepthToSpace', [c.x(c.f(2, 8, 2, 3))], blocksize=2, mode=c.pick('DCR', 'CRD')))
    else:
        c.out(c.op('SpaceToDepth', [c.x(c.f(2, 2, 4, 6))], blocksize=2))


# ---- products and reductions --------------------------------------------------------------------------------------------------


@generator
def matmul(c):
    n, k, m = (int(v) for v in c.rng.integers(1, 6, 3))
    batch = c.shape(0, 2)
    a, b = c.pick(((n, k), (k, m)), (batch + (n, k), (k, m)), (batch + (n, k), batch + (k, m)), ((k,), (k, m)), (batch + (n, k), (k,)))
    c.out(c.op('MatMul', [c.x(c.f(*a)), c.either(c.f(*b))]))


@generator
def gemm(c):
    n, k, m = (int(v) for v in c.rng.integers(1, 6, 3))
    ta, tb = int(c.rng.integers(2)), int(c.rng.integers(2))
    operands = [c.x(c.f(*((k, n) if ta else (n, k)))), c.c(c.f(*((m, k) if tb else (k, m))))]
    if c.rng.random() < 0.7:
        operands.append(c.c(c.f(*c.pick((m,), (1, m), (n, m), ()))))
    c.out(c.op('Gemm', operands, transA=ta, transB=tb, alpha=c.maybe(0.5, 0.3), beta=c.maybe(0.7, 0.3)))


@generator
def einsum(c):
    c.opset = max(c.opset, 12)
    equation, a, b = c.pick(('bij,bjk->bik', (2, 3, 4), (2, 4, 2)), ('bhqd,bhkd->bhqk', (1, 2, 3, 4), (1, 2, 5, 4)), ('ij,j->i', (3, 4), (4,)), ('i,j->ij', (3,), (4,)))
    c.out(c.op('Einsum', [c.x(c.f(*a)), c.x(c.f(*b))], equation=equation))


REDUCE = 'ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceSumSquare'


@generator
def reduce(c):
    op = c.pick(*REDUCE.split())
    shape = c.shape(1, 4)
    axes = [int(a) - (len(shape) if c.rng.random() < 0.3 else 0) for a in c.rng.permutation(len(shape))[: int(c.rng.integers(1, len(shape) + 1))]]
    axes = c.maybe(axes, 0.8)
    x = c.x(c.f(*shape, low=0.1 if 'Log' in op else -2))
    keepdims = c.pick(None, 0, 1)
    if axes is not None and c.opset >= (13 if op == 'ReduceSum' else 18):
        c.out(c.op(op, [x, c.c(np.array(axes, I))], keepdims=keepdims))
    else:
        c.out(c.op(op, [x], keepdims=keepdims, axes=axes))


@generator
def reduce_integers(c):
    shape = c.shape(1, 3)
    c.out(c.op('ReduceMax' if c.rng.random() < 0.5 else 'ReduceSum', [c.x(c.i(*shape, dtype=c.pick(np.int32, np.int64)))], keepdims=c.pick(0, 1)))


@generator
def positions(c):
    shape = c.shape(1, 4)
    c.out(c.op(c.pick('ArgMax', 'ArgMin'), [c.x(c.f(*shape))], axis=c.axis(len(shape)), keepdims=c.pick(None, 0, 1)))


@generator
def topk(c):
    shape = list(c.shape(1, 3))
    axis = c.axis(len(shape))
    shape[axis] = 6
    c.out(*c.op('TopK', [c.x(c.f(*shape)), c.c(np.array([int(c.rng.integers(1, 6))], I))], 2, axis=axis, largest=c.pick(None, 0, 1)))


@generator
def cumsum(c):
    shape = c.shape(1, 3)
    c.out(c.op('CumSum', [c.x(c.f(*shape)), c.c(np.array(c.axis(len(shape)), I))], exclusive=c.pick(None, 1), reverse=c.pick(None, 1)))


@generator
def softmax(c):
    shape = c.shape(1, 4)
    c.out(c.op(c.pick('Softmax', 'LogSoftmax'), [c.x(c.f(*shape, low=-5, high=5))], axis=c.maybe(c.axis(len(shape)), 0.8)))


@generator
def triangles(c):
    c.opset = max(c.opset, 14)
    operands = [c.x(c.f(*c.shape(2, 3)))]
    if c.rng.random() < 0.5:
        operands.append(c.c(np.array(c.pick(-1, 0, 1), I)))
    c.out(c.op('Trilu', operands, upper=c.pick(None, 0, 1)))


@generator
def lp(c):
    shape = c.shape(1, 3)
    c.out(c.op('LpNormalization', [c.x(c.f(*shape, low=0.2))], axis=c.axis(len(shape)), p=c.pick(1, 2)))


# ---- windows ------------------------------------------------------------------------------------------------------------------


def windows(c, axes, pads=True):
    kernel = [int(v) for v in c.rng.integers(1, 4, axes)]
    attributes = {'strides': c.maybe([int(v) for v in c.rng.integers(1, 3, axes)])}
    kind = c.pick('none', 'pads', 'pads', 'SAME_UPPER', 'SAME_LOWER', 'VALID')
    if kind == 'pads' and pads:
        attributes['pads'] = [int(c.rng.integers(0, k)) for k in kernel * 2]
    elif kind not in ('none', 'pads'):
        attributes['auto_pad'] = kind
    return kernel, attributes


@generator
def conv(c):
    axes = c.pick(1, 2, 2, 2, 3)
    kernel, attributes = windows(c, axes)
    groups = c.pick(1, 1, 2, 4)
    channels, filters = 4, 4 * int(c.rng.integers(1, 3))
    if 'auto_pad' not in attributes or attributes['auto_pad'] == 'VALID':
        attributes['dilations'] = c.maybe([int(v) for v in c.rng.integers(1, 3, axes)], 0.4)
    size = [int(v) for v in c.rng.integers(7, 10, axes)]
    operands = [c.x(c.f(2, channels, *size)), c.c(c.f(filters, channels // groups, *kernel))]
    if c.rng.random() < 0.6:
        operands.append(c.c(c.f(filters)))
    c.out(c.op('Conv', operands, group=groups, kernel_shape=c.maybe(kernel), **attributes))


@generator
def conv_transpose(c):
    axes = c.pick(1, 2, 2, 3)
    kernel = [int(v) for v in c.rng.integers(2, 4, axes)]
    strides = [int(v) for v in c.rng.integers(1, 3, axes)]
    groups = c.pick(1, 2)
    attributes = {'strides': strides}
    kind = c.pick('pads', 'padding', 'shape', 'none')
    if kind == 'pads':
        attributes['pads'] = [int(v) for v in c.rng.integers(0, 2, 2 * axes)]
    if kind == 'padding':
        attributes['output_padding'] = [int(c.rng.integers(0, s)) for s in strides]
    if kind == 'shape':
        attributes['output_shape'] = [5 * s for s in strides]
        attributes['auto_pad'] = c.pick('SAME_UPPER', 'SAME_LOWER')
    operands = [c.x(c.f(2, 4, *[5] * axes)), c.c(c.f(4, 3, *kernel))]
    if c.rng.random() < 0.5:
        operands.append(c.c(c.f(3 * groups)))
    c.out(c.op('ConvTranspose', operands, group=groups, **attributes))


@generator
def pools(c):
    axes = c.pick(1, 2, 2, 3)
    kernel, attributes = windows(c, axes)
    op = c.pick('MaxPool', 'AveragePool')
    if op == 'AveragePool':
        attributes['count_include_pad'] = c.maybe(1)
    if 'auto_pad' not in attributes and c.rng.random() < 0.4:
        attributes['ceil_mode'] = 1
    c.out(c.op(op, [c.x(c.f(2, 3, *[int(v) for v in c.rng.integers(7, 10, axes)]))], kernel_shape=kernel, **attributes))


@generator
def global_pools(c):
    c.out(c.op(c.pick('GlobalAveragePool', 'GlobalMaxPool'), [c.x(c.f(2, 3, *c.shape(1, 3)))]))


@generator
def resize(c):
    mode = c.pick('nearest', 'nearest', 'linear', 'linear', 'cubic')
    transform = c.pick('half_pixel', 'asymmetric', 'align_corners', 'pytorch_half_pixel')
    attributes = {'mode': mode, 'coordinate_transformation_mode': transform}
    if mode == 'nearest':
        attributes['nearest_mode'] = c.pick('floor', 'round_prefer_floor', 'ceil', 'round_prefer_ceil')
    if mode == 'cubic':
        attributes['cubic_coeff_a'] = c.maybe(-0.5)
        attributes['exclude_outside'] = c.maybe(1) if transform != 'align_corners' else None
    h, w = (int(v) for v in c.rng.integers(2, 7, 2))
    x = c.x(c.f(2, 3, h, w))
    roi = c.c(np.zeros(0, F))
    if c.rng.random() < 0.5:
        scales = c.pick([1, 1, 2, 2], [1, 1, 3, 1], [1, 1, 1.5, 2.5], [1, 1, 0.6, 0.5])
        if transform == 'align_corners':  # ONNX counts with sizes before they are rounded down, ONNX Runtime 1.32 after.
            scales = [1, 1, 2, 3]
        c.out(c.op('Resize', [x, roi, c.c(np.array(scales, F))], **attributes))
    else:
        sizes = [2, 3, int(c.rng.integers(1, 12)), int(c.rng.integers(1, 12))]
        c.out(c.op('Resize', [x, roi if c.opset < 13 else '', c.c(np.zeros(0, F)) if c.opset < 13 else '', c.c(np.array(sizes, I))], **attributes))


@generator
def resize_like(c):
    """Sizes of another value, as feature pyramids have them."""
    small, large = c.x(c.f(1, 3, 4, 5)), c.x(c.f(1, 3, 8, 10))
    size = c.op('Shape', [large])
    head = c.op('Slice', [c.op('Shape', [small]), c.c(np.array([0], I)), c.c(np.array([2], I))])
    tail = c.op('Slice', [size, c.c(np.array([2], I)), c.c(np.array([4], I))])
    sizes = c.op('Concat', [head, tail], axis=0)
    empty = c.c(np.zeros(0, F))
    mode, transform = c.pick(('nearest', 'asymmetric'), ('linear', 'half_pixel'), ('linear', 'align_corners'), ('linear', 'pytorch_half_pixel'))
    attributes = {'nearest_mode': 'floor'} if mode == 'nearest' else {}
    up = c.op('Resize', [small, empty, empty, sizes], mode=mode, coordinate_transformation_mode=transform, **attributes)
    c.out(c.op('Add', [up, large]))


@generator
def grid(c):
    c.opset = max(c.opset, 16)
    mode = c.pick('bilinear', 'nearest') if c.opset < 20 else c.pick('linear', 'nearest')
    grid = c.f(2, 3, 4, 2, low=-1.2, high=1.2)
    c.out(c.op('GridSample', [c.x(c.f(2, 3, 5, 6)), c.x(grid)], mode=mode, padding_mode=c.pick('zeros', 'border', 'reflection'), align_corners=c.pick(0, 1)))


@generator
def dilated_pools(c):
    c.opset = max(c.opset, 19)
    axes = c.pick(1, 2, 2, 3)
    kernel, attributes = windows(c, axes)
    op = c.pick('MaxPool', 'AveragePool', 'LpPool')
    if 'auto_pad' not in attributes:
        attributes['dilations'] = [int(v) for v in c.rng.integers(1, 4, axes)]
        attributes['ceil_mode'] = c.maybe(1) if op != 'LpPool' else None
    extra = {'AveragePool': {'count_include_pad': c.maybe(1)}, 'LpPool': {'p': c.pick(1, 2, 3)}}.get(op, {})
    c.out(c.op(op, [c.x(c.f(2, 3, *[int(v) for v in c.rng.integers(8, 11, axes)]))], kernel_shape=kernel, **attributes, **extra))


@generator
def pools_with_indices(c):
    axes = c.pick(1, 2, 2, 3)
    kernel, attributes = windows(c, axes)
    c.opset = max(c.opset, 12)
    x = c.x(c.f(2, 3, *[int(v) for v in c.rng.integers(7, 10, axes)]))
    c.out(*c.op('MaxPool', [x], 2, kernel_shape=kernel, storage_order=c.pick(0, 1) if axes == 2 else 0, **attributes))


@generator
def unpools(c):
    x = c.x(c.f(2, 3, 6, 8))
    kernel = [2, c.pick(2, 4)]
    y, indices = c.op('MaxPool', [x], 2, kernel_shape=kernel, strides=kernel)
    c.out(c.op('MaxUnpool', [y, indices], kernel_shape=kernel, strides=kernel))


@generator
def byte_pools(c):
    c.opset = max(c.opset, 12)
    kernel, attributes = windows(c, 2)
    c.out(c.op('MaxPool', [c.x(c.i(2, 3, 8, 9, low=0, high=100, dtype=c.pick(np.int8, np.uint8)))], kernel_shape=kernel, **attributes))


@generator
def resize_regions(c):
    mode = c.pick('nearest', 'linear')
    attributes = {'mode': mode, 'coordinate_transformation_mode': 'tf_crop_and_resize', 'extrapolation_value': c.maybe(1.5)}
    roi = [0, 0, *c.f(2, low=-0.2, high=0.4), 1, 1, *c.f(2, low=0.6, high=1.2)]
    # ONNX Runtime 1.32 does not cut axes whose size stays.
    sizes = [2, 3, c.pick(1, 3, 4, 8), c.pick(1, 3, 5, 8)]
    operands = [c.x(c.f(2, 3, 5, 6)), c.c(np.array(roi, F)), c.c(np.zeros(0, F)) if c.opset < 13 else '', c.c(np.array(sizes, I))]
    c.out(c.op('Resize', operands, **attributes))


@generator
def resize_axes(c):
    c.opset = max(c.opset, 18)
    mode = c.pick('nearest', 'linear', 'cubic')
    attributes = {'mode': mode, 'axes': c.pick([2, 3], [3, 2], [-1, -2]), 'antialias': c.maybe(1) if mode != 'nearest' else None}
    # Nor does it know the policy of axes that are counted from behind.
    if min(attributes['axes']) > 0 and c.rng.random() < 0.5:
        attributes['keep_aspect_ratio_policy'] = c.pick('not_larger', 'not_smaller')
    sizes = c.c(np.array([int(v) for v in c.rng.integers(2, 12, 2)], I))
    c.out(c.op('Resize', [c.x(c.f(2, 3, 5, 6)), '', '', sizes], **attributes))


@generator
def cubic_grid(c):
    c.opset = max(c.opset, 20)
    volume = c.rng.random() < 0.4
    grid = c.f(2, 3, 4, 2, 3, low=-1.2, high=1.2) if volume else c.f(2, 3, 4, 2, low=-1.2, high=1.2)
    x = c.x(c.f(2, 3, 4, 5, 6) if volume else c.f(2, 3, 5, 6))
    mode = c.pick('linear', 'nearest') if volume else 'cubic'
    c.out(c.op('GridSample', [x, c.x(grid)], mode=mode, padding_mode=c.pick('zeros', 'border', 'reflection'), align_corners=c.pick(0, 1)))


@generator
def affine_grid(c):
    c.opset = max(c.opset, 20)
    size = c.pick([2, 3, 4, 5], [2, 3, 4, 5, 6])
    n = len(size) - 2
    c.out(c.op('AffineGrid', [c.x(c.f(2, n, n + 1)), c.c(np.array(size, I))], align_corners=c.pick(0, 1)))


@generator
def regions(c):
    c.opset = max(c.opset, 10)
    corner = c.f(4, 2, low=0, high=20)
    boxes = np.concatenate([corner, corner + c.f(4, 2, low=1, high=25)], 1)
    transform = {'coordinate_transformation_mode': c.pick('half_pixel', 'output_half_pixel')} if c.opset >= 16 else {}
    operands = [c.x(c.f(2, 3, 9, 11)), c.x(boxes), c.x(c.i(4, low=0, high=2))]
    c.out(c.op('RoiAlign', operands, mode=c.pick('avg', 'max'), output_height=3, output_width=2, sampling_ratio=c.pick(0, 1, 2), spatial_scale=0.25, **transform))


@generator
def columns(c):
    c.opset = max(c.opset, 18)
    kernel, strides, pads = [int(v) for v in c.rng.integers(1, 4, 2)], [int(v) for v in c.rng.integers(1, 3, 2)], [int(v) for v in c.rng.integers(0, 2, 4)]
    counts = [(s + pads[i] + pads[i + 2] - kernel[i]) // strides[i] + 1 for i, s in enumerate((6, 7))]
    x = c.x(c.f(2, 3 * kernel[0] * kernel[1], counts[0] * counts[1]))
    c.out(c.op('Col2Im', [x, c.c(np.array([6, 7], I)), c.c(np.array(kernel, I))], strides=strides, pads=pads))


@generator
def moved_conv(c):
    c.opset = max(c.opset, 19)
    groups, own = c.pick((1, 1), (2, 1), (1, 2), (2, 2))
    offset, mask = c.f(2, own * 2 * 6, 5, 5), c.f(2, own * 6, 5, 5)
    operands = [c.x(c.f(2, 4, 6, 7)), c.c(c.f(4, 4 // groups, 2, 3)), c.x(offset), c.c(c.f(4)) if c.rng.random() < 0.5 else '']
    if c.rng.random() < 0.5:
        operands.append(c.x(mask))
    c.out(c.op('DeformConv', operands, group=groups, offset_group=own, kernel_shape=[2, 3]))


@generator
def center_crops(c):
    c.opset = max(c.opset, 18)
    x = c.x(c.f(5, 6, 4))
    c.fixed.update((x, i) for i in range(3))
    c.out(c.op('CenterCropPad', [x, c.c(c.i(2, low=1, high=9))], axes=c.pick([0, 1], [-1, 1])))


# ---- normalisation --------------------------------------------------------------------------------------------------------------


@generator
def batch_norm(c):
    shape = (2, 3) + c.shape(0, 3)
    operands = [c.x(c.f(*shape))] + [c.c(c.f(3)) for _ in range(3)] + [c.c(c.f(3, low=0.5))]
    c.out(c.op('BatchNormalization', operands, epsilon=c.maybe(1e-3)))


@generator
def layer_norm(c):
    c.opset = max(c.opset, 17)
    shape = tuple(int(v) for v in c.rng.integers(2, 5, int(c.rng.integers(2, 5))))
    axis = c.axis(len(shape))
    rest = shape[axis:]
    operands = [c.x(c.f(*shape)), c.c(c.f(*rest))]
    if c.rng.random() < 0.7:
        operands.append(c.c(c.f(*rest)))
    c.out(c.op('LayerNormalization', operands, axis=axis, epsilon=c.maybe(1e-3)))


@generator
def instance_norm(c):
    c.out(c.op('InstanceNormalization', [c.x(c.f(2, 3, *c.shape(1, 3, 6))), c.c(c.f(3)), c.c(c.f(3))], epsilon=c.maybe(1e-2)))


@generator
def group_norm(c):
    c.opset = max(c.opset, 21)
    c.out(c.op('GroupNormalization', [c.x(c.f(2, 6, 3, 4)), c.c(c.f(6)), c.c(c.f(6))], num_groups=c.pick(1, 2, 3, 6)))


@generator
def rms_norm(c):
    c.opset = 23
    shape = c.shape(2, 3)
    c.out(c.op('RMSNormalization', [c.x(c.f(*shape)), c.c(c.f(shape[-1]))], axis=-1))


@generator
def lrn(c):
    c.out(c.op('LRN', [c.x(c.f(2, 7, 3, 2))], size=c.pick(1, 3, 4, 5), alpha=0.3, bias=c.pick(None, 2.0)))


@generator
def mean_variance(c):
    c.out(c.op('MeanVarianceNormalization', [c.x(c.f(2, 3, 4, 5))], axes=c.pick(None, [2, 3])))


@generator
def dropout(c):
    c.out(c.op('Relu', [c.op('Dropout', [c.x(c.f(*c.shape()))] + ([c.c(F(0.3))] if c.opset >= 12 else []))]))


# ---- indices --------------------------------------------------------------------------------------------------------------------


@generator
def gather(c):
    shape = c.shape(1, 3)
    axis = c.axis(len(shape))
    size = shape[axis]
    index = c.i(*c.shape(0, 2), low=-size, high=size, dtype=c.pick(np.int32, np.int64))
    x = c.f(*shape)
    # Rows of a table of weights are an embedding, which takes no negative positions.
    table = c.either(x) if len(shape) != 2 else c.x(x)
    c.out(c.op('Gather', [table, c.either(index)], axis=axis))


@generator
def embedding(c):
    c.out(c.op('Gather', [c.c(c.f(7, 4)), c.x(c.i(*c.shape(1, 2), low=0, high=7))]))


@generator
def gather_elements(c):
    shape = c.shape(1, 3)
    axis = c.axis(len(shape))
    smaller = tuple(int(c.rng.integers(1, d + 1)) for d in shape)
    c.out(c.op('GatherElements', [c.x(c.f(*shape)), c.x(c.i(*smaller, low=-shape[axis], high=shape[axis]))], axis=axis))


@generator
def gather_nd(c):
    shape = (2, 3, 4)
    batch = c.pick(0, 0, 1) if c.opset >= 12 else 0
    depth = int(c.rng.integers(1, 4 - batch))
    lead = shape[:batch] + c.shape(1, 2)
    index = np.stack([c.i(*lead, low=0, high=shape[batch + k]) for k in range(depth)], -1)
    positions = c.x(index)
    c.fixed.add((positions, index.ndim - 1))
    c.out(c.op('GatherND', [c.x(c.f(*shape)), positions], batch_dims=batch or None))


@generator
def scatter_elements(c):
    shape = c.shape(1, 3)
    axis = c.axis(len(shape))
    smaller = tuple(int(c.rng.integers(1, d + 1)) for d in shape)
    index = np.argsort(c.rng.random(shape), axis=axis)[tuple(slice(0, d) for d in smaller)].astype(I)
    reduction = 'add' if c.opset >= 16 and c.rng.random() < 0.4 else c.pick('max', 'mul', 'min') if c.opset >= 18 and c.rng.random() < 0.5 else None
    c.out(c.op('ScatterElements', [c.x(c.f(*shape)), c.x(index), c.x(c.f(*smaller))], axis=axis, reduction=reduction))


@generator
def scatter_nd(c):
    shape = (4, 3, 2)
    depth = int(c.rng.integers(1, 3))
    n = int(c.rng.integers(1, 4))
    index = np.stack([c.rng.permutation(shape[0])[:n]] + [c.i(n, low=0, high=shape[k]) for k in range(1, depth)], -1).astype(I)
    known = ['add', 'mul', 'max', 'min'] if c.opset >= 18 else ['add', 'mul'] if c.opset >= 16 else [None]
    reduction = c.pick(*known) if c.rng.random() < 0.6 else None
    c.out(c.op('ScatterND', [c.x(c.f(*shape)), c.x(index), c.x(c.f(n, *shape[depth:]))], reduction=reduction))


@generator
def one_hot(c):
    index = c.i(*c.shape(1, 2), low=-4, high=4)
    c.out(c.op('OneHot', [c.x(index), c.c(np.array(4, I)), c.c(np.array([0.5, 3], F))], axis=c.pick(None, 0, 1)))


@generator
def nonzero(c):
    mask = c.op('NonZero', [c.c((c.rng.random((3, 4)) < 0.5).astype(F))])
    c.out(c.op('Gather', [c.x(c.f(4)), c.op('Gather', [mask, c.c(np.array(1, I))], axis=0)]))


# ---- recurrence ------------------------------------------------------------------------------------------------------------------


@generator
def recurrent(c):
    op, gates, states = c.pick(('LSTM', 4, 2), ('GRU', 3, 1), ('RNN', 1, 1))
    direction = c.pick('forward', 'reverse', 'bidirectional')
    d = 2 if direction == 'bidirectional' else 1
    t, b, i, h = 5, 2, 3, 4
    operands = [c.x(c.f(t, b, i)), c.c(c.f(d, gates * h, i, low=-1, high=1)), c.c(c.f(d, gates * h, h, low=-1, high=1))]
    attributes = {'hidden_size': h, 'direction': direction}
    if op == 'GRU':
        attributes['linear_before_reset'] = c.pick(0, 1)
    if op == 'RNN' and c.rng.random() < 0.5:
        attributes['activations'] = ['Relu'] * d
    operands.append(c.c(c.f(d, 2 * gates * h)) if c.rng.random() < 0.7 else '')
    operands.append(c.x(np.array([5, 3], np.int32)) if c.rng.random() < 0.4 else '')
    operands += [c.x(c.f(d, b, h)) for _ in range(states)] if c.rng.random() < 0.5 else [''] * states
    if op == 'LSTM' and c.rng.random() < 0.4:
        operands.append(c.c(c.f(d, 3 * h, low=-1, high=1)))
    while operands[-1] == '':
        operands.pop()
    c.out(*c.op(op, operands, 1 + states, **attributes))


@generator
def reverse_sequence(c):
    time, batch = c.pick((0, 1), (1, 0))
    lengths = c.x(np.array([4, 1, 3], I))
    x = c.x(c.f(*((4, 3, 2) if time == 0 else (3, 4, 2))))
    c.out(c.op('ReverseSequence', [x, lengths], time_axis=time, batch_axis=batch))


@generator
def loss(c):
    shape = (3, 5, *c.shape(0, 1))
    op = c.pick('NegativeLogLikelihoodLoss', 'SoftmaxCrossEntropyLoss')
    labels = c.x(c.i(shape[0], *shape[2:], low=0, high=5))
    weights = [c.c(c.f(5, low=0.1, high=1))] if c.rng.random() < 0.5 else []
    c.out(c.op(op, [c.x(c.f(*shape)), labels, *weights], reduction=c.pick('none', 'sum', 'mean'), ignore_index=c.pick(None, 2)))


# ---- networks in small -------------------------------------------------------------------------------------------------------------


@generator
def attention(c):
    """Self-attention as exporters write it."""
    b, s, heads, e = 2, 5, 2, 4
    x = c.x(c.f(b, s, heads * e))
    def part():
        y = c.op('Add', [c.op('MatMul', [x, c.c(c.f(heads * e, heads * e))]), c.c(c.f(heads * e))])
        y = c.op('Reshape', [y, c.c(np.array([0, 0, heads, e], I))])
        return c.op('Transpose', [y], perm=[0, 2, 1, 3])
    q, k, v = part(), part(), part()
    scores = c.op('Div', [c.op('MatMul', [q, c.op('Transpose', [k], perm=[0, 1, 3, 2])]), c.c(F(2))])
    out = c.op('MatMul', [c.op('Softmax', [scores], axis=-1 if c.opset >= 13 else 3), v])
    out = c.op('Reshape', [c.op('Transpose', [out], perm=[0, 2, 1, 3]), c.c(np.array([0, 0, heads * e], I))])
    c.out(out)


@generator
def block(c):
    """A residual block with squeeze and excitation."""
    x = c.x(c.f(1, 4, 8, 8))
    y = c.op('Conv', [x, c.c(c.f(4, 4, 3, 3)), c.c(c.f(4))], pads=[1, 1, 1, 1])
    y = c.op('BatchNormalization', [y, c.c(c.f(4)), c.c(c.f(4)), c.c(c.f(4)), c.c(c.f(4, low=0.5))])
    gate = c.op('GlobalAveragePool', [y])
    gate = c.op('HardSigmoid', [c.op('Conv', [c.op('Relu', [gate]), c.c(c.f(4, 4, 1, 1)), c.c(c.f(4))])])
    y = c.op('Relu', [c.op('Add', [c.op('Mul', [y, gate]), x])])
    y = c.op('MaxPool', [y], kernel_shape=[2, 2], strides=[2, 2])
    c.out(c.op('Gemm', [c.op('Flatten', [y]), c.c(c.f(64, 5))]))


def run(path, inputs):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(path, options, providers=['CPUExecutionProvider'])
    return session.run(None, inputs), session


def generate(out, seed, count):
    cases, refused = [], 0
    for i in range(count):
        rng = np.random.default_rng((seed, i))
        make = GENERATORS[i % len(GENERATORS)]
        case = Case(rng, int(rng.integers(11, 23)))
        make(case)
        model = case.model()
        path = f'{out}/{i}.onnx'
        onnx.save(model, path)
        inputs = dict(case.inputs)
        try:
            results, _ = run(path, inputs)
        except Exception as error:  # What ONNX Runtime does not have says nothing about us.
            refused += 1
            print(make.__name__, case.opset, str(error)[:200], file=sys.stderr)
            continue
        arrays = {f'in_{k}': v for k, (_, v) in enumerate(case.inputs)}
        arrays.update({f'out_{k}': v for k, v in enumerate(results)})
        np.savez(f'{out}/{i}.npz', **arrays)
        cases.append({'i': i, 'name': make.__name__, 'opset': case.opset, 'inputs': len(case.inputs), 'outputs': len(results)})
    print(json.dumps({'cases': cases, 'refused': refused}))


def check(out, listed):
    problems = []
    for i in listed:
        path = f'{out}/{i}.written.onnx'
        try:
            model = onnx.load(path)
            onnx.checker.check_model(model, full_check=True)
            onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
            with np.load(f'{out}/{i}.npz') as arrays:
                names = [x.name for x in model.graph.input]
                inputs = {name: arrays[f'in_{k}'] for k, name in enumerate(names)}
                wanted = [arrays[f'out_{k}'] for k in range(len(model.graph.output))]
            results, _ = run(path, inputs)
            for k, (got, want) in enumerate(zip(results, wanted)):
                if got.shape != want.shape or got.dtype != want.dtype:
                    problems.append([i, f'output {k}: {got.dtype}{got.shape} for {want.dtype}{want.shape}'])
                elif not np.allclose(got, want, atol=1e-4, rtol=1e-4, equal_nan=True):
                    problems.append([i, f'output {k} differs by {np.nanmax(np.abs(got.astype(float) - want.astype(float)))}'])
        except Exception as error:
            problems.append([i, str(error)[:400]])
    print(json.dumps(problems))


if __name__ == '__main__':
    if sys.argv[1] == '--check':
        check(sys.argv[2], json.load(sys.stdin))
    else:
        generate(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
