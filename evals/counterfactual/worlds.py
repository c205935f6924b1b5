"""Simulated worlds: requests, models, rewards, and the true value of every router in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from toolkit.evaluation.offpolicy import Floats, Logged

Reward = Literal["binary", "rare", "graded"]
Past = Literal["explore 0.1", "explore 0.3", "uniform", "soft"]
Target = Literal["one model", "best by request", "mixture", "reversed past"]
REWARDS: tuple[Reward, ...] = ("binary", "rare", "graded")
PASTS: tuple[Past, ...] = ("explore 0.1", "explore 0.3", "uniform", "soft")
TARGETS: tuple[Target, ...] = ("one model", "best by request", "mixture", "reversed past")
SIZES = (200, 1000, 5000)


@dataclass(frozen=True)
class World:
    """A population: features (N, d), and the mean reward (N, k) of each model at each request."""

    features: Floats
    means: Floats
    reward: Reward
    seen: Floats
    """(N, d') the features that the estimator is shown: some are missing, so its outcome model is misspecified."""

    @classmethod
    def drawn(cls, rng: np.random.Generator, reward: Reward, *, population: int = 40_000) -> World:
        """A world by chance: 2 to 6 models, outcomes that are not linear in what is seen."""
        k, d = int(rng.integers(2, 7)), int(rng.integers(2, 6))
        x = rng.normal(size=(population, d))
        level, slope = rng.normal(0.3, 0.8, size=k), rng.normal(0, 0.7, size=(k, d))
        bent = rng.normal(0, 0.6, size=k)
        score = level + x @ slope.T + bent * np.sin(2 * x[:, [0]]) * x[:, [1]]
        means = 1 / (1 + np.exp(-score))
        if reward == "rare":
            means = 0.15 * means
        hidden = int(rng.integers(0, d))
        return cls(x, means, reward, np.delete(x, hidden, axis=1) if rng.random() < 0.5 else np.abs(x))

    def past(self, kind: Past, rng: np.random.Generator) -> Floats:
        """(N, k) the probabilities of the router that ran."""
        n, k = self.means.shape
        if kind == "uniform":
            return np.full((n, k), 1 / k)
        if kind == "soft":
            score = 1.2 * self.features @ rng.normal(size=(self.features.shape[1], k))
            soft = np.exp(score - score.max(axis=1, keepdims=True))
            blurred: Floats = 0.95 * soft / soft.sum(axis=1, keepdims=True) + 0.05 / k
            return blurred
        rate = float(kind.split()[1])
        explored: Floats = rate / k + (1 - rate) * _chosen(self.features @ rng.normal(size=(self.features.shape[1], k)))
        return explored

    def target(self, kind: Target, past: Floats, rng: np.random.Generator) -> Floats:
        """(N, k) the probabilities of the router that is asked about."""
        n, k = self.means.shape
        match kind:
            case "one model":
                one: Floats = np.tile(np.eye(k)[int(rng.integers(k))], (n, 1))
                return one
            case "best by request":
                return _chosen(self.means)
            case "mixture":
                return np.tile(rng.dirichlet(np.ones(k)), (n, 1))
            case "reversed past":
                turned = past.max(axis=1, keepdims=True) + past.min(axis=1, keepdims=True) - past
                reversed_: Floats = turned / turned.sum(axis=1, keepdims=True)
                return reversed_

    def log(self, past: Floats, size: int, rng: np.random.Generator) -> tuple[Logged, np.ndarray]:
        """A history of that size, and which requests are in it."""
        rows = rng.integers(0, len(self.means), size=size)
        probabilities = past[rows]
        choice = (probabilities.cumsum(axis=1) > rng.random((size, 1))).argmax(axis=1)
        mean = self.means[rows, choice]
        if self.reward == "graded":
            reward = rng.beta(4 * mean + 0.05, 4 * (1 - mean) + 0.05)
        else:
            reward = (rng.random(size) < mean).astype(float)
        return Logged(choice, reward, probabilities, self.seen[rows]), rows

    def mean_reward(self) -> Floats:
        """(N, k) the true mean reward, the noise of grading counted in."""
        if self.reward == "graded":
            found: Floats = (4 * self.means + 0.05) / 4.1
            return found
        return self.means

    def value(self, target: Floats) -> float:
        """The true mean reward of a router."""
        return float((target * self.mean_reward()).sum(axis=1).mean())

    def efficient_error(self, target: Floats, past: Floats, size: int) -> float:
        """The standard error that no regular estimator can beat (Hahn 1998), for a history of that size."""
        mean = self.mean_reward()
        noise = mean * (1 - mean) / (5.1 if self.reward == "graded" else 1.0)
        value = (target * mean).sum(axis=1)
        spread = (np.where(target > 0, target**2 / past, 0.0) * noise).sum(axis=1).mean() + value.var()
        return float(np.sqrt(spread / size))


def _chosen(score: Floats) -> Floats:
    chosen: Floats = np.eye(score.shape[1])[score.argmax(axis=1)]
    return chosen
