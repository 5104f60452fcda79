"""Trains the notebook's network on MNIST with Keras and saves it: python 1-train.py DATA_FOLDER EPOCHS -> model.h5"""
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import numpy as np

data, epochs = sys.argv[1], int(sys.argv[2])


def read(name, offset):
    return np.fromfile(os.path.join(data, name), np.uint8, offset=offset)


train_images = read("train-images-idx3-ubyte", 16).reshape(-1, 28, 28) / 255.0
test_images = read("t10k-images-idx3-ubyte", 16).reshape(-1, 28, 28) / 255.0
train_labels, test_labels = read("train-labels-idx1-ubyte", 8), read("t10k-labels-idx1-ubyte", 8)

keras.utils.set_random_seed(1)
model = keras.Sequential(
    [
        keras.Input((28, 28)),
        keras.layers.Flatten(),
        keras.layers.Dense(128, activation="relu"),
        keras.layers.Dropout(0.2),
        keras.layers.Dense(10, activation="softmax", name="prob"),
    ]
)
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(train_images, train_labels, epochs=epochs, verbose=2)
loss, accuracy = model.evaluate(test_images, test_labels, verbose=0)
model.save("model.h5")
print(f"Keras {keras.__version__}: test accuracy {accuracy:.4f}")
