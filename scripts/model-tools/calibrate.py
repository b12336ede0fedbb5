"""Measures, over the calibration crops, what the int8 model needs to know about every activation.

For the linear tensors: what to multiply their channels by (equalize.py). For each tensor then: the range worth
representing, and for what a convolution reads the mean of each channel, with which the error of rounded weights is
taken back in the biases. All are rounded and written down, so that building the model needs neither the pictures nor
the same processor. The third argument describes the int8 model in its file.
"""

import json
import pathlib
import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.schema_py_generated import BuiltinOperator

import crops
import equalize
import flat
import ssd

CROPS = 600
SAMPLED = 100  # crops of which single values are kept, to choose ranges by
VALUES = 20000  # values kept of each tensor and crop


def best_range(values, low, high):
    """The part of low..high that 8 bits represent `values` in with the least square error, clipping included."""
    def error(part):
        scale = (high - low) * part / 255
        zero = np.round(-128 - low * part / scale)
        return np.mean(np.square((np.clip(np.round(values / scale) + zero, -128, 127) - zero) * scale - values))

    part = min(np.linspace(0.2, 1, 33), key=error)
    return low * part, high * part


def run(content, pictures):
    """An interpreter after each picture, with what every operator put into its tensor kept."""
    interpreter = Interpreter(model_content=content, num_threads=2, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    place = interpreter.get_input_details()[0]["index"]
    for picture in pictures:
        interpreter.set_tensor(place, ssd.normalise(ssd.resize(np.asarray(picture)))[None])
        interpreter.invoke()
        yield interpreter


def equalized(model, pictures):
    """Equalizes the channels of the linear tensors and returns the factors by the name of each group's first."""
    found = equalize.groups(model)
    spans = [0.0] * len(found)
    for interpreter in run(flat.pack(model), pictures):
        for place, tensors in enumerate(found):
            for tensor in tensors:
                spans[place] = np.maximum(spans[place], np.abs(interpreter.get_tensor(tensor)).max((0, 1, 2)))
    recorded = {}
    for span, tensors in zip(spans, found):
        rounded = [float(f"{factor:.3g}") for factor in equalize.factors(span)]
        recorded[model.subgraphs[0].tensors[tensors[0]].name.decode()] = rounded
        equalize.apply(model, tensors, np.array(rounded))
    return recorded


def main():
    source, target = (pathlib.Path(argument) for argument in sys.argv[1:3])
    description = sys.argv[3]
    model = flat.load_float32(source)
    graph = model.subgraphs[0]
    pictures = list(crops.calibration())
    chosen = [pictures[i] for i in np.linspace(0, len(pictures) - 1, CROPS).astype(int)]
    factors = equalized(model, [picture for _, picture in chosen[::CROPS // SAMPLED]])

    activations = [int(i) for operator in graph.operators for i in operator.outputs]
    convolutions = (BuiltinOperator.CONV_2D, BuiltinOperator.DEPTHWISE_CONV_2D)
    read = {int(op.inputs[0]) for op in graph.operators if flat.code(model, op) in convolutions}
    read.discard(int(graph.inputs[0]))
    low, high = dict.fromkeys(activations, 0.0), dict.fromkeys(activations, 0.0)
    sums, samples = dict.fromkeys(read, 0.0), {i: [] for i in activations}
    for number, interpreter in enumerate(run(flat.pack(model), (picture for _, picture in chosen))):
        chance = np.random.default_rng(number)
        for i in activations:
            values = interpreter.get_tensor(i)
            low[i], high[i] = min(low[i], values.min()), max(high[i], values.max())
            if i in read:
                sums[i] += values.mean((0, 1, 2), dtype=np.float64)
            if number % (CROPS // SAMPLED) == 0:
                flat_values = values.ravel()
                few = flat_values.size <= VALUES
                samples[i].append(flat_values if few else flat_values[chance.integers(0, flat_values.size, VALUES)])

    record = {"model": source.name, "description": description, "crops": len(chosen), "packages": crops.CALIBRATION,
              "factors": factors, "tensors": {}}
    for i in sorted(activations):
        name = graph.tensors[i].name.decode()
        bottom, top = best_range(np.concatenate(samples[i]), low[i], high[i])
        entry = {"range": [float(f"{bottom:.4g}"), float(f"{top:.4g}")]}
        if i in read:
            entry["means"] = [float(f"{mean:.3g}") for mean in sums[i] / len(chosen)]
        record["tensors"][name] = entry
    head = {key: value for key, value in record.items() if key != "tensors"}
    lines = [f'  {json.dumps(name)}: {json.dumps(entry, separators=(",", ":"))}' for name, entry in record["tensors"].items()]
    target.write_text(json.dumps(head)[:-1] + ', "tensors": {\n' + ",\n".join(lines) + "\n}}\n", encoding="utf-8")
    print(f"{target}: {len(chosen)} crops of {len({name for name, _ in chosen})} pictures")


main()
