"""GazeMedSeg: two networks, each on a pseudo-mask of its own confidence, that must agree.

Y. Zhong et al., "Weakly-supervised Medical Image Segmentation with Gaze Annotations", MICCAI
2024. The two pseudo-masks are thresholds of one CRF-refined heatmap, .5 and .3 for Kvasir-SEG
(``gazetools render --masks-from crf --band 0.3 0.5``), .4 and .2 for NCI-ISBI. Its code trains with
SGD of momentum .99, its paper with Adam; here it has the optimiser of all methods, of momentum .9.
"""

import torch
from torch import Tensor, nn

from gazetools.cache import Cache
from gazetools.errors import TrainingError
from gradtrack_model.batches import Batch
from gradtrack_model.config import TrainConfig
from gradtrack_model.losses import cross_level_consistency, masked_bce
from gradtrack_model.methods.base import Loss, Method
from gradtrack_model.networks import NetworkPair, build_network


class GazeMedSeg(Method):
    r"""Two whole networks; where one is asked for a mask, it is of the mean of their logits.

    .. math:: L = \sum_{k=1,2} \mathrm{BCE}(P_k, M_k) + λ_\text{consistency} L_C(P_k, P_{3-k})

    M_1 is what the pseudo-mask calls foreground, M_2 also what it calls uncertain: the band of
    the pseudo-mask holds both thresholds. L_C is
    :func:`gradtrack_model.losses.cross_level_consistency`.
    """

    def fields(self, config: TrainConfig) -> tuple[str, ...]:
        """Return images and pseudo-masks."""
        return ("images", "pseudo_masks")

    def check(self, cache: Cache, config: TrainConfig) -> None:
        """Refuse pseudo-masks of a single threshold: both networks would learn the same."""
        check_band(cache, config.method)

    def build(self, config: TrainConfig, *, pretrained: bool = True) -> nn.Module:
        """Return two networks without Track Attention."""
        first, second = (
            build_network(config, attention="none", pretrained=pretrained) for _ in range(2)
        )
        return NetworkPair(first, second)

    def loss(self, model: nn.Module, batch: Batch, config: TrainConfig, iteration: int = 0) -> Loss:
        """Return cross-entropy and consistency of both networks."""
        first, second = model(batch["image_BCHW"]).members
        certain_B1HW, possible_B1HW = nested_masks(batch["pseudo_B1HW"])
        valid_B1HW = torch.ones_like(certain_B1HW)
        segmentation = masked_bce(first.seg_logits_B1HW, certain_B1HW, valid_B1HW) + masked_bce(
            second.seg_logits_B1HW, possible_B1HW, valid_B1HW
        )
        consistency = cross_level_consistency(
            first.seg_logits_B1HW, second.seg_logits_B1HW, second.features_BChw
        ) + cross_level_consistency(
            second.seg_logits_B1HW, first.seg_logits_B1HW, first.features_BChw
        )
        loss = segmentation + config.lambda_consistency * consistency
        return loss, {"segmentation": segmentation.detach(), "consistency": consistency.detach()}


def check_band(cache: Cache, method: str) -> None:
    """Refuse pseudo-masks of a single threshold, where a method expects two.

    Raises
    ------
    TrainingError
        There is no band.
    """
    made = cache.recipe.get("masks", {})
    if made and made["band"] is None:
        raise TrainingError(
            f"{cache.path}: its pseudo-masks have no band, and so one threshold; method "
            f"{method} expects two: gazetools render --masks-from crf --band 0.3 0.5"
        )


def nested_masks(pseudo_B1HW: Tensor) -> tuple[Tensor, Tensor]:
    """Return where a pseudo-mask is certain of foreground, and where that is possible."""
    return pseudo_B1HW == 1, pseudo_B1HW != 0
