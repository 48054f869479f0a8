"""Maps that are drawn: one of those that a model with latents finds possible, by a seed."""

from dataclasses import replace

from geohier.errors import ConfigError
from geohier.inference.options import PredictOptions
from geohier.inference.predictor import Predictor


def sampling(predictor: Predictor, options: PredictOptions) -> Predictor:
    """Return a predictor that draws, if the options ask for it.

    Raises:
        ConfigError: there is nothing that could be drawn.
    """
    if options.sample is None:
        return predictor
    if predictor.features is not None:
        raise ConfigError("features are not drawn, maps are: leave sample out")
    from geohier.models.sampled import SampledSegmenter, has_latents  # brings timm: seconds

    if not has_latents(predictor.module):
        raise ConfigError(
            "sample draws by latents, and this model has none: leave it out, or train with "
            "model.hierarchy.latents"
        )
    drawing, stride = SampledSegmenter(predictor.module, options.sample), predictor.card.stride
    if stride % drawing.strides[-1]:
        raise ConfigError(
            f"the card's stride of {stride} px is no multiple of {drawing.strides[-1]} px, that of "
            "the coarsest level: tiles would not begin with whole cells; mend the card"
        )
    return replace(predictor, module=drawing)
