"""Asks about the first digits of MNIST's test images, over plain HTTP: python 4-ask.py DATA_FOLDER"""
import json
import os
import sys
import urllib.request

service = os.environ["SERVICE"]
images = open(os.path.join(sys.argv[1], "t10k-images-idx3-ubyte"), "rb").read()[16:]
labels = open(os.path.join(sys.argv[1], "t10k-labels-idx1-ubyte"), "rb").read()[8:]
for at in range(3):
    pixels = images[784 * at : 784 * (at + 1)]
    image = [[ink / 255 for ink in pixels[28 * row : 28 * (row + 1)]] for row in range(28)]
    call = urllib.request.Request(f"{service}/v1/algo/acme/mnist", json.dumps(image).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(call) as answer:
        prob = json.load(answer)["result"]["prob"]
        print(f"label {labels[at]}, answered {prob.index(max(prob))} with {max(prob):.3f}, by {answer.headers['weighlock-manifest'][:23]}…")
