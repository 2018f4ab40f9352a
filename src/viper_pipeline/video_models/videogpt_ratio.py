"""VideoGPT with two classes per task, expert and agent; its score is the log of their likelihood ratio.

The paper minimizes KL(q || p) = E_q[ln q - ln p] between the videos of the agent, q, and of experts, p (Eqs 5, 6). It
keeps ln p and replaces -ln q by an exploration bonus. Here the same network learns both: it is trained on expert videos
under the class expert of their task and on the agent's kind of play under the class agent, and scores
ln p(x | context, expert) - ln p(x | context, agent). What moves by itself is as likely in both classes, and cancels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from viper_pipeline.training.initialization import without_decay
from viper_pipeline.video_models.transformer import ConditionalNorm, initialize_as_reference
from viper_pipeline.video_models.videogpt import VideoGPT, VideoGPTConfig


class ClassNorm(ConditionalNorm):
    """As `ConditionalNorm`, with two gains and biases per task; conditions are 2 x task, plus 1 for class agent."""

    def __init__(self, width: int, tasks: int) -> None:
        super().__init__(width, tasks)
        self.gain = nn.Parameter(torch.zeros(tasks, 2, width))
        self.bias = nn.Parameter(torch.zeros(tasks, 2, width))
        without_decay(self.gain, self.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x (B, L, D), condition ids (B,) -> (B, L, D)."""
        x = F.layer_norm(x, (self.width,), eps=1e-6)
        gain, bias = self.gain.flatten(0, 1)[condition], self.bias.flatten(0, 1)[condition]
        return torch.addcmul(bias.unsqueeze(1), x, 1 + gain.unsqueeze(1))


class RatioVideoGPT(VideoGPT):
    """Scores in nats are ln p(frame | context, expert) - ln p(frame | context, agent), and may be positive.

    `conditions` gives the class expert of tasks, and `loss` is that of the class that a clip's condition names.
    """

    KIND = "videogpt_ratio"

    def __init__(self, config: VideoGPTConfig, codebook: Tensor, grid: tuple[int, int], tasks: Sequence[str]) -> None:
        """As VideoGPT; tasks: names of the real tasks, each of which has two classes."""
        super().__init__(config, codebook, grid, tasks)
        for module in list(self.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, ConditionalNorm):
                    setattr(module, name, ClassNorm(child.width, len(self.tasks)))
        if config.init == "reference":
            initialize_as_reference(self)

    def conditions(self, tasks: Sequence[str]) -> Tensor:
        """Names of tasks (n,) -> ids (n,) int64 of their class expert. Raises BadData for an unknown task."""
        return 2 * super().conditions(tasks)

    @staticmethod
    def agent_class(condition: Tensor) -> Tensor:
        """Ids of the class expert -> those of the class agent of the same task."""
        return condition + 1

    def log_prob(self, codes: Tensor, condition: Tensor, per_code: bool = False) -> Tensor:
        """codes (B, T <= window, h, w) -> the log ratio in nats, (B, T) or (B, T, h, w)."""
        return self._ratio(super().log_prob, codes, condition, per_code)

    def log_prob_last(self, codes: Tensor, condition: Tensor, per_code: bool = False) -> Tensor:
        """codes (B, T <= window, h, w) -> the log ratio (B,) or (B, h, w) of the last frame."""
        return self._ratio(super().log_prob_last, codes, condition, per_code)

    def likelihood(self, codes: Tensor, condition: Tensor) -> Tensor:
        """ln p(frame | context, class) (B, T) of the classes that the conditions (B,) name: one side of the ratio."""
        return super().log_prob(codes, condition)

    def _ratio(
        self, score: Callable[[Tensor, Tensor, bool], Tensor], codes: Tensor, condition: Tensor, per_code: bool
    ) -> Tensor:
        """Both classes side by side, in one pass."""
        classes = torch.cat([condition, self.agent_class(condition)])
        expert, agent = score(torch.cat([codes, codes]), classes, per_code).chunk(2)
        return expert - agent
