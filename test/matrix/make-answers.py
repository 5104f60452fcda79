"""The answers of real Keras to the cases of the matrix.

    python3 -m venv /tmp/keras && /tmp/keras/bin/pip install tensorflow-cpu==2.21.0 && /tmp/keras/bin/pip install --no-deps tf-keras==2.21.0
    node test/matrix/cases.ts --write /tmp/cases.json
    /tmp/keras/bin/python test/matrix/make-answers.py /tmp/cases.json test/matrix/answers.bin.gz /tmp/asked.jsonl

The last file keeps what was answered, so that after a change only the new cases are asked.

tf-keras is Keras 2, whose topologies tfjs-layers reads. (--no-deps: it asks for the larger package "tensorflow".) Every
model is built by Keras from the topology as it stands and computed in float64, where a rounding of ours can't hide behind
one of theirs; what TensorFlow has in float32 only is computed in that. TensorFlow's CPU kernels lack channels first: there
the same Keras layer computes with channels last on the transposed question, and its answer is transposed back. (XLA has
channels first, but is wrong for one kernel size and stride in a thousand, so it is only asked with --xla, and where the two
differ the script says so.)

The file, gzipped: a line of JSON, `{"cases": sha256 of the cases, "answers": {id: [shape, …] | "why Keras has none"}}`,
then the numbers of all answers, float32 rounded to 22 bits (21 behind the point), first bytes first.
"""
import gzip, hashlib, json, os, sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow as tf
import tf_keras

CUSTOM = {
    "gelu_new": lambda x: tf_keras.activations.gelu(x, approximate=True),
    "LeCunNormal": tf_keras.initializers.LecunNormal,
    "LeCunUniform": tf_keras.initializers.LecunUniform,
    "relu6": tf.nn.relu6,
    "log_softmax": tf.nn.log_softmax,
}


def tensors(specs, floats):
    return [np.array(t["values"], floats if t["dtype"] == "float32" else t["dtype"]).reshape(t["shape"]) for t in specs]


def retyped(value, floats):
    if isinstance(value, dict):
        return {k: floats if k == "dtype" and v == "float32" else retyped(v, floats) for k, v in value.items()}
    return [retyped(v, floats) for v in value] if isinstance(value, list) else value


def answer(case, floats, compiled):
    tf_keras.backend.clear_session()
    tf_keras.backend.set_floatx(floats)
    model = tf_keras.models.model_from_json(json.dumps(retyped(case["topology"], floats)), custom_objects=CUSTOM)
    model.set_weights(tensors(case["weights"], floats))
    inputs = [tf.constant(t) for t in tensors(case["inputs"], floats)]
    call = tf.function(lambda *x: model(list(x) if len(x) > 1 else x[0], training=False), jit_compile=compiled)
    call = call if compiled else call.python_function
    result = call(*inputs)
    return [np.asarray(t) for t in (result if isinstance(result, (list, tuple)) else [result])]


def channels_last(case):
    """The case with its one layer's channels last, how to turn its answer back, and what has to come after that."""
    turned = json.loads(json.dumps(case))
    layers = turned["topology"]["config"]["layers"]
    config = layers[-1]["config"]
    if config.get("data_format") != "channels_first":
        return None
    config["data_format"] = "channels_last"
    time = layers[-1]["class_name"] == "ConvLSTM2D"  # the axis before the channels; its activation is for each number
    last = "linear" if time else config.pop("activation", "linear")
    batch = layers[0]["config"]["batch_input_shape"]
    at = 2 if time else 1
    layers[0]["config"]["batch_input_shape"] = batch[:at] + batch[at + 1 :] + [batch[at]]
    question = turned["inputs"][0]
    values = np.moveaxis(np.array(question["values"]).reshape(question["shape"]), at, -1)
    question["shape"], question["values"] = list(values.shape), values.ravel().tolist()
    back = lambda t: np.moveaxis(t, -1, 2 if time and config["return_sequences"] else 1)
    return turned, lambda t: np.asarray(tf_keras.activations.get(CUSTOM.get(last, last))(tf.constant(back(t))))


def by_turning(case):
    turned = channels_last(case)
    if turned is None:
        raise ValueError("no channels first")
    found = [turned[1](t) for t in answer(turned[0], "float64", False)]
    if "--xla" not in sys.argv:
        return found
    try:
        xla = answer(case, "float64", True)
        if not all(a.shape == b.shape and np.allclose(a, b, rtol=1e-9, atol=1e-9) for a, b in zip(found, xla)):
            print(case["id"], "XLA differs", json.dumps(case["topology"])[:400], file=sys.stderr)
    except Exception as error:
        print(case["id"], "XLA has none:", str(error)[:100], file=sys.stderr)
    return found


def answered(case):
    failed = None
    for how in (lambda: answer(case, "float64", False), lambda: by_turning(case), lambda: answer(case, "float32", False)):
        try:
            return how()
        except Exception as error:
            failed = failed or error
    return f"{type(failed).__name__}: {str(failed).strip().splitlines()[0][:160]}"


def rounded(values):
    values = np.asarray(values, np.float64).ravel()
    bits = np.floor(np.log2(np.maximum(np.abs(values), 0.5)))  # numbers below 1 keep 21 bits behind the point
    step = np.exp2(bits - 20)
    return (np.round(values / step) * step).astype("<f4")


def asker(kept_file):
    """`answered`, out of the file what stands in it."""
    open(kept_file, "a").close()
    kept = dict(json.loads(line) for line in open(kept_file))
    log = open(kept_file, "a", buffering=1)

    def ask(case):
        key = hashlib.sha256(json.dumps(case).encode()).hexdigest()
        if key not in kept:
            found = answered(case)
            kept[key] = found if isinstance(found, str) else [[list(t.shape), t.ravel().tolist()] for t in found]
            log.write(json.dumps([key, kept[key]]) + "\n")
        found = kept[key]
        return found if isinstance(found, str) else [np.array(v, np.float64).reshape(s) for s, v in found]

    return ask


def main(cases_file, answers_file, kept_file):
    text = open(cases_file, "rb").read()
    cases = json.loads(text)
    ask = asker(kept_file)
    head, numbers = {}, [np.zeros(0, "<f4")]
    for index, case in enumerate(cases):
        found = ask(case)
        if isinstance(found, str):
            print(case["id"], found, json.dumps(case["topology"])[:400], file=sys.stderr)
            head[case["id"]] = found
        elif not all(np.isfinite(t).all() for t in found):
            sys.exit(f"{case['id']}: the answer is not finite")
        else:
            head[case["id"]] = [list(t.shape) for t in found]
            numbers += [rounded(t) for t in found]
        if index % 500 == 0:
            print(index, "of", len(cases), file=sys.stderr)
    line = json.dumps({"cases": hashlib.sha256(text).hexdigest(), "answers": head}, separators=(",", ":"))
    planes = np.concatenate(numbers).view(np.uint8).reshape(-1, 4).T.tobytes()
    with open(answers_file, "wb") as file:
        file.write(gzip.compress(line.encode() + b"\n" + planes, 9, mtime=0))


main(*sys.argv[1:4])
