"""The test cases that ONNX defines its operators by, and the models that its package carries, as files.

    official.py OUT     writes OUT/<i>/*.onnx and OUT/<i>/*.npy, and prints the list as JSON

A case has up to three models. In the second all operands but the first are constants, in the third all are: files of real models have axes, sizes and their
like as constants, while these cases have them as inputs.
"""
import json
import os
import sys
import warnings
from glob import glob

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, numpy_helper, version_converter
from onnx.backend.test.case.node import collect_testcases

warnings.filterwarnings('ignore')
ort.set_default_logger_severity(4)
DATA = os.path.join(os.path.dirname(onnx.__file__), 'backend', 'test', 'data')
OLDEST = 7  # The first version of the operator set that is read.


def is_plain(value):
    return isinstance(value, np.ndarray) or np.isscalar(value)


class Writer:
    def __init__(self, out):
        self.out = out
        self.rows = []

    def add(self, name, model, inputs, outputs, rtol, atol):
        """`inputs`, `outputs`: (name, array) pairs."""
        row = {'name': name, 'operators': sorted({n.op_type for n in model.graph.node}), 'rtol': rtol, 'atol': atol}
        self.rows.append(row)
        # Strings, sequences, and types that NumPy does not have: not even a file of arrays holds them.
        if not all(is_plain(v) and np.asarray(v).dtype.kind in 'biuf' for _, v in [*inputs, *outputs]):
            return
        folder = os.path.join(self.out, str(len(self.rows)))
        os.makedirs(folder)
        for side, pairs in (('inputs', inputs), ('outputs', outputs)):
            row[side] = []
            for i, (port, value) in enumerate(pairs):
                path = os.path.join(folder, f'{side}{i}.npy')
                np.save(path, np.asarray(value))
                row[side].append({'name': port, 'file': path})
        row['models'] = []
        for count in dict.fromkeys([0, max(len(inputs) - 1, 0), len(inputs)]):
            path = os.path.join(folder, f'{count}.onnx')
            onnx.save(with_constants(model, inputs[len(inputs) - count :]), path)
            row['models'].append(path)


def with_constants(model, constants):
    names = {name for name, _ in constants}
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    kept = [i for i in copy.graph.input if i.name not in names]
    del copy.graph.input[:]
    copy.graph.input.extend(kept)
    copy.graph.initializer.extend(numpy_helper.from_array(np.asarray(v), n) for n, v in constants)
    return copy


def node_cases(writer):
    for case in collect_testcases(None):
        graph = case.model.graph
        inputs, outputs = case.data_sets[0]
        named = [list(zip([p.name for p in ports], values)) for ports, values in ((graph.input, inputs), (graph.output, outputs))]
        writer.add(case.name, case.model, *named, case.rtol, case.atol)


def stored_cases(writer):
    """Models that PyTorch and others exported, with results; those of old versions are converted as users have to."""
    for path in sorted(glob(os.path.join(DATA, '*', 'test_*', 'model.onnx'))):
        folder = os.path.dirname(path)
        model = onnx.load(path)
        if model.opset_import[0].version < OLDEST:
            model = version_converter.convert_version(model, OLDEST)

        def values(kind):
            for i in range(len(glob(os.path.join(folder, 'test_data_set_0', f'{kind}_*.pb')))):
                tensor = TensorProto()
                with open(os.path.join(folder, 'test_data_set_0', f'{kind}_{i}.pb'), 'rb') as file:
                    tensor.ParseFromString(file.read())
                yield numpy_helper.to_array(tensor)

        weights = {i.name for i in model.graph.initializer}
        given = list(values('input'))
        names = [i.name for i in model.graph.input]
        if len(given) != len(names):
            names = [n for n in names if n not in weights]
        outputs = zip([o.name for o in model.graph.output], values('output'))
        name = f'{os.path.basename(os.path.dirname(folder))}/{os.path.basename(folder)}'
        writer.add(name, model, list(zip(names, given)), list(outputs), 1e-3, 1e-5)


def zoo_cases(writer):
    """Vision models of the model zoo whose weights are made by ConstantOfShape; ONNX Runtime says what they give."""
    rng = np.random.default_rng(0)
    for path in sorted(glob(os.path.join(DATA, 'light', '*.onnx'))):
        session = ort.InferenceSession(path, providers=['CPUExecutionProvider'])
        feed = {i.name: rng.standard_normal([d if isinstance(d, int) else 1 for d in i.shape]).astype(np.float32) for i in session.get_inputs()}
        outputs = list(zip([o.name for o in session.get_outputs()], session.run(None, feed)))
        writer.add(f'zoo/{os.path.basename(path)}', onnx.load(path), list(feed.items()), outputs, 1e-3, 1e-5)


if __name__ == '__main__':
    written = Writer(sys.argv[1])
    node_cases(written)
    stored_cases(written)
    zoo_cases(written)
    print(json.dumps(written.rows))
