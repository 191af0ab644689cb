"""AnyStyleNet: one network for every style, which it predicts from the style picture.

Ghiasi, Lee, Kudlur, Dumoulin, Shlens, "Exploring the structure of a real-time, arbitrary neural artistic stylization
network" (BMVC 2017).
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fast_style.networks.multi_style import MultiStyleNet

BOTTLENECK, HIDDEN = 100, 192
FARTHEST = 3.0  # from the mean, in deviations: a picture like none of the training's is predicted as if it were nearer


class StylePredictor(nn.Module):
    """From the statistics of a style picture (B, S) to what makes the style, offsets (B, D) of a MultiStyleNet.

    Departing from Ghiasi et al. 2017, whose predictor is Inception-v3 and two linear layers, all of it learnt from
    80,000 paintings: the statistics come from the small loss network, the bottleneck of 100, which is theirs, holds
    principal components of the statistics of the training's pictures, and a hidden layer follows. Only that is learnt.
    """

    def __init__(self, statistics: int, offsets: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(statistics))
        self.register_buffer("components", torch.zeros(statistics, BOTTLENECK))
        self.hidden, self.offsets = nn.Linear(BOTTLENECK, HIDDEN), nn.Linear(HIDDEN, offsets)
        # A style begins as what all share.
        nn.init.zeros_(self.offsets.weight)
        nn.init.zeros_(self.offsets.bias)

    @torch.no_grad()
    def fit_bottleneck(self, statistics: Tensor) -> None:
        """Take the principal components of statistics (N, S) of many pictures, each statistic divided by its deviation.

        Their deviations are made more equal, by roots: what differs most among the pictures is not all that matters,
        and what differs least is noise.
        """
        deviations = statistics.std(0, correction=0).clamp_min(1e-4)
        self.mean.copy_(statistics.mean(0))
        _, singular, directions = torch.linalg.svd((statistics - self.mean) / deviations, full_matrices=False)
        count = min(BOTTLENECK, len(singular))
        spread = singular[:count] / len(statistics) ** 0.5  # deviations of the components
        scales = spread.clamp_min(1e-4).rsqrt()
        scales = scales / (spread * scales).square().mean().sqrt().clamp_min(1e-4)
        self.components.zero_()
        self.components[:, :count] = directions[:count].T * scales / deviations[:, None]

    def forward(self, statistics: Tensor) -> Tensor:
        seen = (statistics - self.mean) @ self.components
        hidden = self.hidden(FARTHEST * (seen / FARTHEST).tanh()).relu()
        # Divided, so that a step of Adam changes an offset about as much as if it were learnt itself; three times as
        # much undid in 200 steps what 1,200 had learnt.
        return self.offsets(hidden / HIDDEN**0.5)


class AnyStyleNet(nn.Module):
    """A MultiStyleNet that has learnt the identity alone, and what predicts a style for it.

    model       arguments of the TransformerNet; its norm is instance
    statistics  how many there are of a style picture
    """

    def __init__(self, model: dict, statistics: int):
        super().__init__()
        self.shared = MultiStyleNet(model, [], torch.zeros(0, statistics), identity=True)
        self.predictor = StylePredictor(statistics, self.shared.offsets.shape[1])

    def forward(self, content_images: Tensor, statistics: Tensor, painted: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1], each in the style of a picture with statistics (B, S), or, where it is not
        `painted` (B,), as the identity leaves it."""
        offsets = torch.where(painted[:, None], self.predictor(statistics), self.shared.offsets)
        return self.shared.paint(content_images, offsets)

    def replica(self) -> "AnyStyleNet":
        """As that of a MultiStyleNet."""
        return copy.deepcopy(self, {id(tensor): tensor for tensor in [*self.parameters(), *self.buffers()]})

    @torch.no_grad()
    def predict(self, names: Sequence[str], statistics: Tensor) -> MultiStyleNet:
        """A network of the styles of pictures with statistics (N, S), and of the identity."""
        network = MultiStyleNet(self.shared.model, names, statistics, identity=True).to(statistics.device)
        network.transformer.load_state_dict(self.shared.transformer.state_dict())
        network.offsets.copy_(torch.cat([self.predictor(statistics), self.shared.offsets]))
        return network.eval()
