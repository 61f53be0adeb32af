"""What each method minimises, as pure functions on torch tensors: one value a pair.

A pair is two responses to one prompt: *chosen* is the more helpful one, whatever its safety, unless
a data policy has ordered the pairs otherwise. All tensors have shape (pairs,). Log-probabilities are
sums over the completion's tokens, in nats; safety is 1 for a safe response and 0 for an unsafe one.

With h = (policy_chosen - policy_rejected) - (ref_chosen - ref_rejected), the positional parameters
are what a batch has to offer, by these names:

    policy_chosen, policy_rejected      under the model that is trained
    ref_chosen, ref_rejected            under the reference
    chosen_safe, rejected_safe          1 or 0
    chosen_length, rejected_length      completion tokens
    margin                              a reward of chosen less that of rejected, from the data
    safety_use, helpfulness_lack        mean |a| and |b - 1| of a router's weights a and b (MidPO)

and the keyword-only ones are hyper-parameters. A package adds an objective with a function of that
form through the entry point `bfpo_bench.objectives`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def bfpo(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    chosen_safe: Tensor,
    rejected_safe: Tensor,
    *,
    tau: float = 0.01,
    b1: float = 3.0,
    alpha: float = 0.5,
) -> Tensor:
    """(h - (g - alpha) / tau)^2 with g = b3 (b1 safe_chosen - safe_rejected) and b3 = 1 / (b1 - 1).

    BFPO, arXiv 2408.15313; wx-zhang/bfpo at a1febab, where tau is called beta. Targets in nats.
    """
    h = _h(policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    target = bfpo_target(
        _safe(chosen_safe, h), _safe(rejected_safe, h), tau=tau, b1=b1, alpha=alpha
    )
    return (h - target) ** 2


def bfpo_target(
    chosen_safe: Tensor, rejected_safe: Tensor, *, tau: float, b1: float = 3.0, alpha: float = 0.5
) -> Tensor:
    """The h, in nats, at which BFPO's loss is zero. Labels of any dtype; floats keep theirs."""
    b3 = 1 / (b1 - 1)
    return (b3 * b1 * chosen_safe - b3 * rejected_safe - alpha) / tau


def dpo(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    *,
    beta: float = 0.1,
) -> Tensor:
    """-log sigmoid(beta h). arXiv 2305.18290, equation 7."""
    return -logsigmoid(beta * _h(policy_chosen, policy_rejected, ref_chosen, ref_rejected))


def ipo(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    *,
    tau: float = 0.1,
) -> Tensor:
    """(h - 1 / (2 tau))^2 on sums of log-probabilities. arXiv 2310.12036, equation 17."""
    return (_h(policy_chosen, policy_rejected, ref_chosen, ref_rejected) - 1 / (2 * tau)) ** 2


def ipo_mean(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    chosen_length: Tensor,
    rejected_length: Tensor,
    *,
    tau: float = 0.1,
) -> Tensor:
    """IPO on log-probabilities a token, as TRL 1.16 has it (`loss_type="ipo"`)."""
    chosen = (policy_chosen - ref_chosen) / chosen_length.clamp(min=1)
    rejected = (policy_rejected - ref_rejected) / rejected_length.clamp(min=1)
    return (chosen - rejected - 1 / (2 * tau)) ** 2


def safedpo(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    chosen_safe: Tensor,
    rejected_safe: Tensor,
    *,
    beta: float = 0.1,
    delta: float = 10.0,
) -> Tensor:
    """-log sigmoid(beta h - (u_rejected - u_chosen) delta), u = 1 for unsafe. arXiv 2505.20065.

    It asks for pairs of the data policy `safedpo`, where an unsafe response is never chosen.
    """
    h = _h(policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    return -logsigmoid(beta * h - (_safe(chosen_safe, h) - _safe(rejected_safe, h)) * delta)


def bso(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    chosen_safe: Tensor,
    rejected_safe: Tensor,
    *,
    beta: float = 0.1,
    penalty: float = 30.0,
    power: float = 0.2,
    scale: float = 4.0,
) -> Tensor:
    """The density-ratio loss f'(R) R - f(R) - f'(1 / R) of arXiv 2605.12339, equation 14.

    log R = -(beta h + penalty (u_chosen - u_rejected)), u = 1 for unsafe, and the scaled Basu power
    generator f(R) = (R^(1 + p) - R) / (s p (1 + p)) with p = `power` and s = `scale`, which gives
    (p R^(1 + p) - (1 + p) R^-p + 1) / (s p (1 + p)). log R is not clamped, and the loss has no lower
    bound. It asks for pairs of the data policy `safedpo`: the pull towards chosen is also larger, not
    smaller, where chosen alone is unsafe.
    """
    h = _h(policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    log_r = -(beta * h + penalty * (_safe(rejected_safe, h) - _safe(chosen_safe, h)))
    up, down = torch.exp((1 + power) * log_r), torch.exp(-power * log_r)
    return (power * up - (1 + power) * down + 1) / (scale * power * (1 + power))


def modpo(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    margin: Tensor,
    *,
    beta: float = 0.1,
    weight: float = 0.5,
) -> Tensor:
    """-log sigmoid((beta h - (1 - weight) margin) / weight). arXiv 2310.03708.

    `margin` is the other reward's: with a safety-DPO model as that reward, beta times its own h.
    `weight` in (0, 1] is the share of what the pairs prefer.
    """
    h = _h(policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    return -logsigmoid((beta * h - (1 - weight) * margin.to(h)) / weight)


def midpo_safety(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    margin: Tensor,
    *,
    beta: float = 0.1,
) -> Tensor:
    """-log sigmoid(beta h + min(0, dS)), dS the cost of chosen less that of rejected, `-margin`.

    MidPO's safety expert, arXiv 2506.02460, and mdpo_safety_expert of OutdoorManofML/MidPO at 4c5a464.
    `margin` is a reward of safety. It asks for pairs of the data policy `safety-only`.
    """
    h = _h(policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    return -logsigmoid(beta * h + (-margin.to(h)).clamp(max=0))


def midpo_helpfulness(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    margin: Tensor,
    *,
    beta: float = 0.1,
) -> Tensor:
    """-log sigmoid(beta h - max(0, dR)), dR a reward of helpfulness of chosen less that of rejected.

    MidPO's helpfulness expert, arXiv 2506.02460. It asks for pairs in their order by helpfulness.
    """
    h = _h(policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    return -logsigmoid(beta * h - margin.to(h).clamp(min=0))


def midpo_router(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    safety_use: Tensor,
    helpfulness_lack: Tensor,
    *,
    beta: float = 0.1,
    penalty: float = 1.0,
) -> Tensor:
    """-log sigmoid(beta h) + penalty (mean |a| + mean |b - 1|). arXiv 2506.02460.

    a and b are the router's weights of the safety and of the helpfulness expert, the means over layers
    and tokens of the pair; the reference is the base without experts.
    """
    h = _h(policy_chosen, policy_rejected, ref_chosen, ref_rejected)
    return -logsigmoid(beta * h) + penalty * (safety_use + helpfulness_lack)


def sft(policy_chosen: Tensor, chosen_length: Tensor) -> Tensor:
    """The chosen completion's negative log-likelihood a token, in nats."""
    return -policy_chosen / chosen_length.clamp(min=1)


def ascent(policy_chosen: Tensor, chosen_length: Tensor, *, bound: float = 10.0) -> Tensor:
    """-min(l, bound), where l is the chosen completion's negative log-likelihood a token, in nats.

    Gradient ascent on l, as the safety patch of SafePatching is trained on harmful completions
    (arXiv 2405.13820). The bound is this project's: l has no upper one, and what has reached it has no
    gradient any more.
    """
    return -sft(policy_chosen, chosen_length).clamp(max=bound)


def derta(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    chosen_length: Tensor,
    rejected_length: Tensor,
    *,
    transition: float = 1.0,
) -> Tensor:
    """Two negative log-likelihoods a token, in nats: of the refusal after a harmful prefix, and
    `transition` times that of turning to it at every place of the harmful answer. arXiv 2407.09121.

    Chosen is the first and rejected the second of the rows that `derta.RefusalCollator` makes of a
    pair; lengths count their labels, and a row without any adds nothing.
    """
    refusal = -policy_chosen / chosen_length.clamp(min=1)
    return refusal - transition * policy_rejected / rejected_length.clamp(min=1)


def _h(
    policy_chosen: Tensor, policy_rejected: Tensor, ref_chosen: Tensor, ref_rejected: Tensor
) -> Tensor:
    return (policy_chosen - policy_rejected) - (ref_chosen - ref_rejected)


def _safe(label: Tensor, h: Tensor) -> Tensor:
    """A safety label of any dtype as a constant of h's: differences of bool or uint8 are not numbers."""
    return label.detach().to(h)
