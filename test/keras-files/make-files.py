"""Small models of real Keras in the files that Keras writes, each with one question and Keras's answer.

    pip install keras tensorflow-cpu tf-keras h5py
    python make-files.py 3 keras-3.json.gz          Keras 3; with 2: tf-keras, which is Keras 2
    python make-files.py 3 all.json.gz many         only the models that are named; `many` is large, and left out otherwise

Writes {"keras": version, "models": {NAME: {"h5": base64, "keras": base64, "shapes": [[2, 4]], "inputs": [[…]], "outputs": [[…]]}}},
numbers flat.
"""
import base64, gzip, json, os, sys, tempfile
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
import numpy as np

which, out, wanted = sys.argv[1], sys.argv[2], sys.argv[3:]
if which == "3":
    import keras
else:
    import tf_keras as keras
L = keras.layers
keras.utils.set_random_seed(11)


def functional():
    a, b = keras.Input((4,), name="a"), keras.Input((3,), name="b")
    x = L.Concatenate(name="joined")([a, b])
    shared = L.Dense(5, "tanh", name="twice")
    x = L.Add()([shared(L.Dense(5, name="first")(x)), shared(L.Dense(5, name="second")(x))])
    return keras.Model([a, b], [L.Dense(2, name="out_a")(x), L.Dense(1, "sigmoid", name="out_b")(x)])


def nested():
    inner = keras.Sequential([keras.Input((6,)), L.Dense(4, "relu", name="inner_one"), L.BatchNormalization(name="inner_norm"), L.Dense(4, name="inner_two")], name="inner")
    x = keras.Input((6,), name="x")
    return keras.Model(x, L.Dense(2, name="out")(inner(x)))


def same_shapes():  # a look-up by anything but the layer takes another's weights
    return keras.Sequential([keras.Input((4,))] + [L.Dense(4, "tanh", name=n) for n in ("zeta", "alpha", "mid", "beta", "dense_1", "dense")])


def deeper():  # a model in a model in a model, one of them used twice
    core = keras.Sequential([keras.Input((3,)), L.Dense(3, "tanh"), L.Dense(3)], name="core")
    a = keras.Input((3,), name="a_in")
    middle = keras.Model(a, L.Dense(3, name="after")(core(core(a))), name="middle")
    x = keras.Input((3,), name="x")
    return keras.Model(x, L.Dense(2, name="out")(middle(x)))


def many():  # more members than one node of a group's index holds, and names too long for one attribute
    names = [f"layer_{'x' * 180}_{index:03}" for index in range(340)]
    return keras.Sequential([keras.Input((3,))] + [L.Dense(3 if index % 7 else 4, "tanh", name=name) for index, name in enumerate(names)])


def branches():  # several classes, each counted for itself
    x = keras.Input((6, 6, 1), name="x")
    one = L.Conv2D(2, 3, name="b_conv")(x)
    two = L.Conv2D(2, 3, name="a_conv", use_bias=False)(x)
    joined = L.Concatenate()([one, two])
    joined = L.BatchNormalization(name="z_norm")(L.BatchNormalization(name="y_norm", scale=False)(joined))
    return keras.Model(x, L.Dense(2, name="last")(L.Flatten()(joined)))


models = {
    "cells": lambda: keras.Sequential([keras.Input((5, 3)), L.RNN(L.LSTMCell(4), return_sequences=True), L.TimeDistributed(L.BatchNormalization()), L.SimpleRNN(2, go_backwards=True)]),
    "deeper": deeper,
    "many": many,
    "branches": branches,
    "dense": lambda: keras.Sequential([keras.Input((5,)), L.Dense(4, "relu"), L.Dropout(0.2), L.Dense(3, "softmax", name="prob")]),
    "cnn": lambda: keras.Sequential([keras.Input((12, 12, 2)), L.Conv2D(4, 3, activation="relu"), L.BatchNormalization(), L.MaxPooling2D(), L.DepthwiseConv2D(3), L.Conv2DTranspose(3, 2, strides=2), L.GlobalAveragePooling2D(), L.Dense(3)]),
    "separable": lambda: keras.Sequential([keras.Input((8, 8, 2)), L.SeparableConv2D(4, 3), L.PReLU(shared_axes=[1, 2]), L.Flatten(), L.Dense(2)]),
    "text": lambda: keras.Sequential([keras.Input((7,)), L.Embedding(20, 6), L.Bidirectional(L.LSTM(5)), L.Dense(2)]),
    "recurrent": lambda: keras.Sequential([keras.Input((6, 3)), L.GRU(4, return_sequences=True, reset_after=False), L.SimpleRNN(5, return_sequences=True), L.TimeDistributed(L.Dense(2)), L.Bidirectional(L.GRU(3, reset_after=False), merge_mode="sum"), L.LayerNormalization()]),
    "functional": functional,
    "nested": nested,
    "same_shapes": same_shapes,
    "conv1d": lambda: keras.Sequential([keras.Input((16, 3)), L.Conv1D(4, 3, padding="same"), L.MaxPooling1D(2), L.Conv1D(2, 2, use_bias=False), L.GlobalMaxPooling1D()]),
    "frozen": lambda: keras.Sequential([keras.Input((5,)), L.Dense(4, trainable=False), L.BatchNormalization(trainable=False), L.Dense(2)]),
}
folder = tempfile.mkdtemp()
made = {}
for name, make in models.items():
    if name not in wanted if wanted else name == "many":
        continue
    keras.backend.clear_session()
    model = make()
    rng = np.random.default_rng(len(name))
    # Zeros and ones, as biases and scales begin, would hide a weight in the wrong place.
    model.set_weights([w + rng.uniform(0.1, 0.9, w.shape).astype(w.dtype) if w.ndim == 1 else w for w in model.get_weights()])
    inputs = []
    for tensor in model.inputs:
        shape = [2] + [int(size) for size in tensor.shape[1:]]
        words = rng.integers(0, 20, shape).astype("float32")
        inputs.append(words if name == "text" else rng.normal(0, 1, shape).astype("float32"))
    found = model.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
    found = found if isinstance(found, list) else [found]
    made[name] = {
        "shapes": [list(x.shape) for x in inputs],
        "inputs": [x.ravel().astype(float).tolist() for x in inputs],
        "outputs": [y.ravel().astype(float).tolist() for y in found],
    }
    for extension in ("h5", "keras"):
        path = os.path.join(folder, f"{name}.{extension}")
        model.save(path)
        made[name][extension] = base64.b64encode(open(path, "rb").read()).decode()
text = json.dumps({"keras": keras.__version__, "models": made})
open(out, "wb").write(gzip.compress(text.encode(), 9, mtime=0))
print("made", len(made), "models with Keras", keras.__version__)
