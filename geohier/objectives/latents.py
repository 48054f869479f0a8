"""What it costs that latents know more than the image tells."""

from torch import Tensor

from geohier.layers.latents import Normal


def gaussian_divergence(posterior: Normal, prior: Normal) -> Tensor:
    """Return the Kullback-Leibler divergence of what is known from what was expected, in nats.

    Kingma and Welling 2014, Auto-Encoding Variational Bayes, appendix B, for any normal prior.

    Shape:
        - posterior, prior: `(B, D, h, w)`
        - returns: `(B, h, w)`, summed over the D numbers of a cell
    """
    wider = posterior.log_deviation - prior.log_deviation
    apart = (posterior.mean - prior.mean) * (-prior.log_deviation).exp()
    return ((2 * wider).exp() / 2 + apart**2 / 2 - wider - 0.5).sum(dim=1)
