"""The optimizer of docs/method.md in plain float64 NumPy, variable by variable.

The tests compare ours with it.
"""

import numpy as np


def sensitivity(gradient, theta):
    return np.abs(np.asarray(gradient, "float64") * theta).sum()


def bias_ratio(c_beta, c_gamma):
    if c_beta == 0:
        return 0.0
    return np.inf if c_gamma == 0 else c_beta / c_gamma


class Oracle:
    """A list of variables and their LAMB, AdamW, SGD or LARS state.

    Args:
        thetas: dict of name to array; names end in kernel, bias, gamma or beta.
        coefficients: dict of role to lambda.
        threshold: R, or None for a fixed policy.
        adapted: set of names that have a trust ratio.
    """

    def __init__(self, thetas, coefficients, threshold=None, adapted=()):
        self.theta = {k: np.array(v, "float64") for k, v in thetas.items()}
        self.m = {k: np.zeros_like(v) for k, v in self.theta.items()}
        self.v = {k: np.zeros_like(v) for k, v in self.theta.items()}
        self.coefficients, self.threshold, self.adapted = coefficients, threshold, adapted
        self.t = 0
        self.ratios, self.on = {}, {}

    def decay(self, name, gradients):
        prefix, role = name.rsplit("/", 1)
        if role != "beta" or self.threshold is None:
            return self.coefficients[role]
        gamma = f"{prefix}/gamma"
        r = bias_ratio(
            sensitivity(gradients[name], self.theta[name]),
            sensitivity(gradients[gamma], self.theta[gamma]),
        )
        self.ratios[prefix] = r
        self.on[prefix] = bool(r >= self.threshold and np.isfinite(self.threshold))
        return self.coefficients["beta"] if self.on[prefix] else 0.0

    def lamb(
        self,
        gradients,
        rate,
        b1=0.9,
        b2=0.999,
        epsilon=1e-6,
        correct=True,
        clip=None,
        trust_clip=None,
        inside=True,
    ):
        self.t += 1
        gradients = {k: np.asarray(g, "float64") for k, g in gradients.items()}
        decays = {k: self.decay(k, gradients) for k in gradients}  # before clipping
        if clip is not None:
            norm = np.sqrt(sum((g**2).sum() for g in gradients.values()))
            gradients = {k: g * min(1.0, clip / norm) for k, g in gradients.items()}
        new = {}
        for k, g in gradients.items():
            self.m[k] = b1 * self.m[k] + (1 - b1) * g
            self.v[k] = b2 * self.v[k] + (1 - b2) * g**2
            m_hat, v_hat = self.m[k], self.v[k]
            if correct:
                m_hat = m_hat / -np.expm1(self.t * np.log(b1))
                v_hat = v_hat / -np.expm1(self.t * np.log(b2))
            u, theta = m_hat / (np.sqrt(v_hat) + epsilon), self.theta[k]
            if inside:
                u = u + decays[k] * theta
            else:
                theta = (1 - rate * decays[k]) * theta
            ratio = 1.0
            if k in self.adapted:
                n_theta, n_u = np.linalg.norm(theta), np.linalg.norm(u)
                ratio = n_theta / n_u if n_theta > 0 and n_u > 0 else 1.0
                ratio = min(ratio, trust_clip) if trust_clip else ratio
            new[k] = theta - rate * ratio * u
        self.theta.update(new)

    def sgd(self, gradients, rate, momentum=0.9, nesterov=False, coupled=True):
        self.t += 1
        gradients = {k: np.asarray(g, "float64") for k, g in gradients.items()}
        decays = {k: self.decay(k, gradients) for k in gradients}
        new = {}
        for k, g in gradients.items():
            pull = decays[k] * self.theta[k]
            d = g + pull if coupled else g
            self.m[k] = momentum * self.m[k] + d
            step = d + momentum * self.m[k] if nesterov else self.m[k]
            new[k] = self.theta[k] - rate * (step if coupled else step + pull)
        self.theta.update(new)

    def adamw(self, gradients, rate, b1=0.9, b2=0.999, epsilon=1e-8):
        self.t += 1
        gradients = {k: np.asarray(g, "float64") for k, g in gradients.items()}
        decays = {k: self.decay(k, gradients) for k in gradients}
        new = {}
        for k, g in gradients.items():
            self.m[k] = b1 * self.m[k] + (1 - b1) * g
            self.v[k] = b2 * self.v[k] + (1 - b2) * g**2
            m_hat, v_hat = self.m[k] / (1 - b1**self.t), self.v[k] / (1 - b2**self.t)
            shrunk = (1 - rate * decays[k]) * self.theta[k]  # decoupled: first decay, then Adam
            new[k] = shrunk - rate * m_hat / (np.sqrt(v_hat) + epsilon)
        self.theta.update(new)

    def lars(self, gradients, rate, coefficient=0.001, momentum=0.9, nesterov=False, epsilon=0.0):
        self.t += 1
        gradients = {k: np.asarray(g, "float64") for k, g in gradients.items()}
        decays = {k: self.decay(k, gradients) for k in gradients}
        new = {}
        for k, g in gradients.items():
            n_theta, n_g = np.linalg.norm(self.theta[k]), np.linalg.norm(g)
            ratio = 1.0
            if k in self.adapted and n_theta > 0 and n_g > 0:
                ratio = coefficient * n_theta / (n_g + decays[k] * n_theta + epsilon)
            d = rate * ratio * (g + decays[k] * self.theta[k])
            self.m[k] = momentum * self.m[k] + d
            new[k] = self.theta[k] - (d + momentum * self.m[k] if nesterov else self.m[k])
        self.theta.update(new)
