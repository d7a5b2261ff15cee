"""The optimizers' equations in numpy, double precision: each a step on weights, written without looking at speed."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def flip(w: Array, signal: Array, threshold: float) -> Array:
    return np.where((np.abs(signal) > threshold) & (np.sign(signal) == np.sign(w)), -w, w)


def bop(w: Array, g: Array, s: dict[str, Any], t: int, *, gamma: float, threshold: float) -> Array:
    s["m"] = (1 - gamma) * s.get("m", 0.0) + gamma * g
    return flip(w, s["m"], threshold)


def bop2ndorder(
    w: Array, g: Array, s: dict[str, Any], t: int, *, gamma: float, sigma: float, threshold: float, unbiased: bool
) -> Array:
    s["m"] = (1 - gamma) * s.get("m", 0.0) + gamma * g
    s["v"] = s.get("v", 0.0) + sigma * (g**2 - s.get("v", 0.0))
    if unbiased:
        return flip(w, s["m"] / gamma / (np.sqrt(s["v"] / sigma) + 1e-10), threshold)
    return flip(w, s["m"] / (np.sqrt(s["v"]) + 1e-10), threshold)


def cema(w: Array, g: Array, s: dict[str, Any], t: int, *, gamma: float, alpha: float) -> Array:
    s["m"] = (1 - gamma) * s.get("m", 0.0) + gamma * g
    s["h"] = (1 - alpha) * s.get("h", 0.0) + alpha * s["m"]
    return np.where(s["h"] * w > 0, -w, w)


def diode(w: Array, g: Array, s: dict[str, Any], t: int, *, lr: float, beta1: float, beta2: float) -> Array:
    s["l"] = beta1 * s.get("l", 0.0) + (1 - beta1) * g
    s["s"] = beta2 * s["s"] + (1 - beta2) * lr * np.sign(s["l"])
    return np.where(s["s"] > 0, -1.0, 1.0)


def sgd(w: Array, g: Array, s: dict[str, Any], t: int, *, lr: float, momentum: float, clip: float) -> Array:
    s["m"] = momentum * s.get("m", 0.0) + g
    return np.clip(w - lr * s["m"], -clip, clip)


def adam(
    w: Array, g: Array, s: dict[str, Any], t: int, *, lr: float, weight_decay: float, amsgrad: bool, clip: float
) -> Array:
    g = g + weight_decay * w
    s["m"] = 0.9 * s.get("m", 0.0) + 0.1 * g
    s["v"] = 0.999 * s.get("v", 0.0) + 0.001 * g**2
    s["max"] = np.maximum(s.get("max", 0.0), s["v"]) if amsgrad else s["v"]
    m, v = s["m"] / (1 - 0.9**t), s["max"] / (1 - 0.999**t)
    return np.clip(w - lr * m / (np.sqrt(v) + 1e-8), -clip, clip)


def bamsprod(
    w: Array,
    g: Array,
    s: dict[str, Any],
    t: int,
    *,
    lr: float,
    beta1: float,
    beta2: float,
    rho: float,
    horizon: float,
    clip: float,
) -> Array:
    """``w`` [filters, n]."""
    l1, l2 = np.abs(w).sum(1), (w**2).sum(1)
    error = 1 - l1**2 / (w.shape[1] * l2)
    s["e"] = rho * s["e"] + (1 - rho) * error if "e" in s else error
    s["v"] = beta2 * s.get("v", 0.0) + (1 - beta2) * g**2
    s["max"] = np.maximum(s.get("max", 0.0), s["v"])
    kappa = (1 - beta2) ** (-(1 - s["e"] * min(1.0, np.sqrt(horizon / t))) / 2)
    bound = kappa[:, None] * np.sqrt(s["max"])
    s["m"] = beta1 * s.get("m", 0.0) + (1 - beta1) * np.clip(g, -bound, bound)
    return np.clip(w - lr * s["m"] / (np.sqrt(s["max"]) + 1e-8), -clip, clip)


Step = Callable[..., Array]
CASES: list[tuple[str, Step, dict[str, Any], dict[str, Any]]] = [
    ("bop", bop, {"gamma": 0.3, "threshold": 0.15}, {}),
    ("bop2ndorder", bop2ndorder, {"gamma": 0.3, "sigma": 0.2, "threshold": 0.4}, {"unbiased": False}),
    ("bop2ndorder-unbiased", bop2ndorder, {"gamma": 0.3, "sigma": 0.2, "threshold": 0.7}, {"unbiased": True}),
    ("cema", cema, {"gamma": 0.3, "alpha": 0.2}, {}),
    ("diode", diode, {"lr": 0.01}, {"beta1": 0.6, "beta2": 0.95}),
    ("sgd", sgd, {"lr": 0.1, "momentum": 0.8, "clip": 0.5}, {}),
    ("adam", adam, {"lr": 0.1, "weight_decay": 0.02, "clip": 0.5}, {"amsgrad": False}),
    ("amsgrad", adam, {"lr": 0.1, "weight_decay": 0.02, "clip": 0.5}, {"amsgrad": True}),
    ("bamsprod", bamsprod, {"lr": 0.1, "rho": 0.7, "horizon": 8, "clip": 0.5}, {"beta1": 0.6, "beta2": 0.9}),
]
"""Name in the registry, reference, options of both, and those that the reference alone spells so."""
