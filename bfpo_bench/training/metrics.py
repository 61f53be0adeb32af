"""What a person needs to see of a training: sums and counts that are added up over batches and ranks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bfpo_bench.training.labels import CASE_KEYS, CASES

# Columns of the sums, one row a safety case
_COUNT, _H, _TARGET, _SQUARE, _RIGHT, _CHOSEN, _REJECTED, _LOSS, _BUFFER_LOSS, _BUFFERED = range(10)
_SAFETY_USE, _HELPFULNESS_LACK, _COLUMNS = range(10, 13)


@dataclass(frozen=True)
class BatchView:
    """What is looked at of one batch, each of shape (pairs,). `h` is None where the objective has no
    reference, `target` where it draws h to none; `buffered` is 1 for a pair of the buffer. A router's
    mean |a| and |b - 1| are None without one."""

    h: Tensor | None
    policy_chosen: Tensor
    policy_rejected: Tensor
    chosen_safe: Tensor
    rejected_safe: Tensor
    loss: Tensor
    buffered: Tensor
    target: Tensor | None
    safety_use: Tensor | None = None
    helpfulness_lack: Tensor | None = None


class CaseSums:
    """Sums by safety case, float64 on the device of the first batch; nothing is synchronised."""

    def __init__(self) -> None:
        self._sums: Tensor | None = None
        self._has_h = self._has_target = self._is_routed = False

    def add(self, view: BatchView) -> None:
        self._has_h = view.h is not None
        h = torch.zeros_like(view.loss).double() if view.h is None else view.h.double()
        self._has_target = view.target is not None
        # Without a target of its own, an objective prefers the chosen response: h above zero
        target = torch.ones_like(h) if view.target is None else view.target.double()
        self._is_routed = view.safety_use is not None
        routed = (
            torch.zeros_like(h) if used is None else used.detach().double()
            for used in (view.safety_use, view.helpfulness_lack)
        )
        loss, buffered = view.loss.double(), view.buffered.double()
        columns = torch.stack(
            [
                torch.ones_like(h),
                h,
                target,
                (h - target) ** 2,
                (torch.sign(h) == torch.sign(target)).double(),
                view.policy_chosen.double(),
                view.policy_rejected.double(),
                loss * (1 - buffered),
                loss * buffered,
                buffered,
                *routed,
            ],
            dim=1,
        )
        case = (2 * (1 - view.chosen_safe) + (1 - view.rejected_safe)).long()
        sums = torch.zeros(len(CASES), columns.shape[1], dtype=torch.float64, device=h.device)
        sums.index_add_(0, case, columns)
        self._sums = sums if self._sums is None else self._sums + sums

    def take(self, reduce: Callable[[Tensor], Tensor], device: torch.device) -> dict[str, float]:
        """Means over everything added since the last call; `reduce` sums a tensor over all ranks.

        Every rank must call it as often as the others, also one that has added nothing.
        """
        own = torch.zeros(len(CASES), _COLUMNS, dtype=torch.float64, device=device)
        sums = reduce(own if self._sums is None else self._sums).tolist()
        has_h, has_target, self._sums = self._has_h, self._has_target, None
        total = [sum(row[i] for row in sums) for i in range(_COLUMNS)]
        if not total[_COUNT]:
            return {}
        seen = (("margin", _H), ("accuracy", _RIGHT)) if has_h else ()
        found = {
            **{name: total[column] / total[_COUNT] for name, column in seen},
            "logps/chosen": total[_CHOSEN] / total[_COUNT],
            "logps/rejected": total[_REJECTED] / total[_COUNT],
        }
        if self._is_routed:
            found["router/safety"] = total[_SAFETY_USE] / total[_COUNT]
            found["router/helpfulness"] = 1 - total[_HELPFULNESS_LACK] / total[_COUNT]
        if total[_BUFFERED]:
            found["loss/main"] = total[_LOSS] / max(1.0, total[_COUNT] - total[_BUFFERED])
            found["loss/buffer"] = total[_BUFFER_LOSS] / total[_BUFFERED]
        for case, row in zip(CASE_KEYS, sums, strict=True):
            if has_h and row[_COUNT]:
                found[f"h/{case}"] = row[_H] / row[_COUNT]
                if has_target:
                    found[f"target/{case}"] = row[_TARGET] / row[_COUNT]
                    found[f"residual/{case}"] = (row[_SQUARE] / row[_COUNT]) ** 0.5
        return found
