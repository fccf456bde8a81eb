"""Trains the demo network on drawn furniture and writes it as Caffe files.

It learns from products numbered 1000 and up; the demo catalogue's products (numbers from 0) are never seen, so that the
measurements at the end, made by the embedded server on the catalogue's JPEG files, are honest. Needs the `train`
dependency group and what the embedded server needs. Drawings are kept in WORK, so that a second run trains at once.

    python scripts/train_demo_model.py WORK OUT [--products 380] [--views 6] [--epochs 30]
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from demo_drawing import CATEGORIES, draw
from demo_measure import MEAN, SIDE, Measured, measure
from demo_network import FEATURES, DemoNetwork, caffe_layers
from make_demo_catalogue import make
from numpy.typing import NDArray
from torch import Tensor, nn

from ddsim.networks.layers import prototxt, weights_of

_FIRST = 1000
_GROUPS = 40
_MARGIN = 12


def training_view(task: tuple[str, int, int]) -> NDArray[np.uint8]:
    """Draw one view as the server would see it, a little larger than the network's input, as B, G, R planes."""
    category, product, view = task
    sheet = io.BytesIO()
    draw(category, product, view, supersampling=2 if view == 1 else 1).save(sheet, format="JPEG", quality=90)
    pixels = cv2.imdecode(np.frombuffer(sheet.getvalue(), np.uint8), cv2.IMREAD_COLOR)
    side = SIDE + _MARGIN
    return np.ascontiguousarray(cv2.resize(pixels, (side, side), interpolation=cv2.INTER_CUBIC).transpose(2, 0, 1))


def training_pictures(work: Path, products: int, views: int, processes: int) -> NDArray[np.uint8]:
    """Return (categories, products, views, 3, side, side) pictures, drawing those that WORK lacks."""
    path = work / f"pictures-{products}x{views}.npy"
    if not path.is_file():
        work.mkdir(parents=True, exist_ok=True)
        tasks = [(c, _FIRST + p, v + 1) for c in CATEGORIES for p in range(products) for v in range(views)]
        print(f"drawing {len(tasks)} training pictures", flush=True)
        with multiprocessing.Pool(processes) as pool:
            drawn = np.stack(list(pool.imap(training_view, tasks, chunksize=32)))
        np.save(path, drawn.reshape(len(CATEGORIES), products, views, *drawn.shape[1:]))
    return np.asarray(np.load(path, mmap_mode="r"))


def batch(pictures: NDArray[np.uint8], chosen: NDArray[np.int64], random: np.random.RandomState) -> Tensor:
    """Return two views of each chosen (category, product), the first half one view each, the second another.

    Views are shifted, and their brightness, contrast and tint moved a little. Products keep their colours.
    """
    views = np.stack([random.permutation(pictures.shape[2])[:2] for _ in chosen])
    lead = random.rand(len(chosen)) < 0.5
    views[lead & (views[:, 1] != 0), 0] = 0
    samples = np.empty((2, len(chosen), 3, SIDE, SIDE), np.float32)
    for i, (category, product) in enumerate(chosen):
        for k in range(2):
            x, y = random.randint(0, _MARGIN + 1, 2)
            picture = pictures[category, product, views[i, k], :, y : y + SIDE, x : x + SIDE]
            gain = random.uniform(0.90, 1.10) * random.uniform(0.96, 1.04, (3, 1, 1))
            samples[k, i] = (picture - 128.0) * gain + 128.0 + random.uniform(-10, 10)
    mean = np.asarray(MEAN, np.float32).reshape(3, 1, 1)
    return torch.from_numpy(np.clip(samples, 0, 255).reshape(-1, 3, SIDE, SIDE) - mean)


def pair_loss(features: Tensor, sharpness: Tensor) -> Tensor:
    """Return how badly views of a product find each other in a batch by squared distance, as an index does."""
    distances = torch.cdist(features, features).square() / features.shape[1]
    count = len(features)
    scores = -sharpness * distances - 1e9 * torch.eye(count)
    partner = (torch.arange(count) + count // 2) % count
    return nn.functional.cross_entropy(scores, partner)


def proxy_loss(features: Tensor, proxies: Tensor, products: Tensor, sharpness: Tensor) -> Tensor:
    """Return how badly views find the learned place of their own product among those of all products."""
    distances = torch.cdist(features, proxies).square() / features.shape[1]
    return nn.functional.cross_entropy(-sharpness * distances, products, label_smoothing=0.05)


def train(pictures: NDArray[np.uint8], epochs: int, seed: int = 1) -> DemoNetwork:
    """Return a trained network."""
    torch.manual_seed(seed)
    random = np.random.RandomState(seed)
    network = DemoNetwork(len(CATEGORIES))
    log_sharpness = nn.Parameter(torch.tensor(1.0))
    categories, products = pictures.shape[:2]
    proxies = nn.Parameter(0.3 * torch.rand(categories * products, FEATURES))
    optimiser = torch.optim.AdamW(
        [{"params": network.parameters()}, {"params": [log_sharpness, proxies], "weight_decay": 0.0}],
        weight_decay=0.02,
    )
    everything = np.stack(np.meshgrid(*map(np.arange, pictures.shape[:2]), indexing="ij"), axis=-1).reshape(-1, 2)
    steps = epochs * (len(everything) // _GROUPS)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, [4e-3, 2e-2], total_steps=steps, pct_start=0.15)
    network.train()
    for epoch in range(epochs):
        started, total, right, seen = time.monotonic(), 0.0, 0, 0
        order = random.permutation(everything)
        for start in range(0, len(order) - _GROUPS + 1, _GROUPS):
            chosen = order[start : start + _GROUPS]
            labels = torch.from_numpy(np.tile(chosen[:, 0], 2))
            numbers = torch.from_numpy(np.tile(chosen[:, 0] * products + chosen[:, 1], 2))
            features, scores = network(batch(pictures, chosen, random))
            loss = nn.functional.cross_entropy(scores, labels, label_smoothing=0.03)
            sharpness = log_sharpness.exp()
            loss = loss + pair_loss(features, sharpness) + 0.5 * proxy_loss(features, proxies, numbers, sharpness)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
            right += int((scores.argmax(1) == labels).sum())
            seen += len(labels)
        share, each = right / seen, total * 2 * _GROUPS / seen
        print(f"epoch {epoch + 1}: loss {each:.3f}, right {share:.3f}, {time.monotonic() - started:.0f} s", flush=True)
    return network.eval()


def write(network: DemoNetwork, out: Path) -> None:
    """Write deploy.prototxt, demo.caffemodel and corresp.txt."""
    layers = caffe_layers(network, SIDE)
    out.mkdir(parents=True, exist_ok=True)
    (out / "deploy.prototxt").write_text(prototxt("demo", layers), "utf-8")
    (out / "demo.caffemodel").write_bytes(weights_of(layers))
    labels = "".join(f"{number} {category}\n" for number, category in enumerate(CATEGORIES))
    (out / "corresp.txt").write_text(labels, "utf-8")


def agreement(network: DemoNetwork, measured: Measured) -> tuple[float, float]:
    """Return the worst cosine of features, and how far probabilities differ, between torch and ONNX Runtime."""
    with torch.no_grad():
        features, scores = network(torch.from_numpy(measured.inputs))
    ours, theirs = features.numpy(), measured.features
    cosines = (ours * theirs).sum(1) / (np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1))
    return float(cosines.min()), float(np.abs(scores.softmax(1).numpy() - measured.probabilities).max())


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Train the demo network and write it as Caffe files.")
    parser.add_argument("work", type=Path, help="folder for training pictures and the measured catalogue")
    parser.add_argument("out", type=Path, help="folder for the Caffe files")
    parser.add_argument("--products", type=int, default=380, help="training products of each category")
    parser.add_argument("--views", type=int, default=6, help="views of each training product")
    parser.add_argument("--epochs", type=int, default=30, help="how often each training product is shown")
    parser.add_argument("--processes", type=int, default=1, help="how many processes draw")
    options = parser.parse_args()
    torch.set_num_threads(1)
    pictures = training_pictures(options.work, options.products, options.views, options.processes)
    network = train(pictures, options.epochs)
    torch.save(network.state_dict(), options.work / "demo.pt")
    write(network, options.out)
    make(options.work / "catalogue", processes=options.processes)
    measured = measure(options.out, options.work / "catalogue")
    cosine, difference = agreement(network, measured)
    print(json.dumps({**measured.numbers(), "worst cosine": cosine, "largest difference": difference}, indent=1))


if __name__ == "__main__":
    main()
