"""Every metric of a set of samples: what it needs, how it is measured, and what it is called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import inf, prod
from typing import Literal

from undrift.advice import possible
from undrift.metrics import measurements
from undrift.metrics.bounded import ANY, POSITIVE, SHARE, Range
from undrift.metrics.comparison import NEIGHBOUR, Comparison
from undrift.metrics.frechet_infinity import fewest_to_extrapolate
from undrift.metrics.measurements import Measured
from undrift.metrics.neighbourhoods import expected_coverage

STANDARD_FID_SAMPLES = 50_000

Need = Literal[
    "sample labels",
    "captions",
    "swapped captions",
    "numbers",
    "masks",
    "derived maps",
    "classifier",
    "entropy classifier",
    "neighbours",
    "clip",
    "reference images",
    "more than points",
    "many",
]


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        title: its name; the name of the space it was measured in is put behind.
        better: which way is better; "neither" where it only describes.
        measure: measures it.
        what: what is computed, for the protocol.
        needs: what it cannot do without.
        space: the space whose name it carries: the features', the classifier's, the space that the
            inception score is computed in, `TextureFeatures`; "pixels" carries none.
        ideal: what a perfect model scores, where that is known.
        floor: what real images score; by default the same with as many real images as samples.
            It raises a `UsageError` where no number of these sizes can be had.
        floor_words: what that is, for the protocol.
        within: the range of its values.
    """

    title: str
    better: Literal["lower", "higher", "neither"]
    measure: Callable[[Comparison], Measured]
    what: str
    needs: tuple[Need, ...] = ()
    space: Literal["features", "classifier", "entropy classifier", "pixels", "texture"] = "features"
    ideal: Callable[[Comparison], float | None] = lambda _: None
    floor: Callable[[Comparison], float] | None = None
    floor_words: str = ""
    within: Range = ANY

    def floor_of(self, comparison: Comparison) -> float:
        """What real images score in this metric, at the sizes that the samples are measured at.

        Raises:
            UsageError: why that cannot be had.
        """
        if self.floor is not None:
            return self.floor(comparison)
        return self.measure(comparison.floor).estimate.value

    def full_name(self, comparison: Comparison) -> str:
        """The title with the space: numbers of different spaces are different metrics."""
        if self.space == "pixels":
            return self.title
        if self.space == "texture":
            return f"{self.title}[{comparison.in_texture.extractor.name}]"
        own = self.space == "classifier"
        classifier = comparison.classifier if own else comparison.entropy_classifier
        if self.space != "features" and classifier is not None:
            return f"{self.title}[{classifier.name}]"
        if self.title == "FD" and standard_fid(comparison):
            return "FID"
        return f"{self.title}[{comparison.extractor.name}]"


def standard_fid(comparison: Comparison) -> bool:
    """Whether a Frechet distance is what the literature calls FID.

    That takes the Inception network of 2015 with its own resize, 50,000 samples, and the whole
    training set as reference.
    """
    whole = comparison.training is not None and comparison.split == "train"
    return (
        comparison.extractor.standard_fid
        and len(comparison.samples) == STANDARD_FID_SAMPLES
        and whole
        and len(comparison.reference) == len(comparison.training or ())
    )


def lacking(metric: Metric, comparison: Comparison) -> str:
    """Why ``metric`` cannot be had of ``comparison``; empty if it can."""
    for need in metric.needs:
        if need == "sample labels" and comparison.samples.labels is None:
            return "the samples, or the reference, have no labels"
        if need in ("captions", "numbers") and any(
            getattr(images, need) is None for images in (comparison.samples, comparison.seen)
        ):
            return f"the samples, or the training images, have no {need}"
        if need == "swapped captions" and comparison.swapped is None:
            return "no samples were drawn with a word swapped, which `undrift evaluate RUN` does"
        samples, seen = comparison.samples, comparison.seen
        if need == "masks" and not samples.masks.keys() & seen.masks.keys():
            return "the samples, or the training images, have no masks of classes"
        if need == "derived maps" and all(one.spec.source == "paired" for one in samples.maps):
            return "the samples were drawn without maps that can be derived from images"
        if need == "classifier" and comparison.classifier is None:
            return "the reference has no labels to train a classifier on"
        if need == "entropy classifier" and comparison.entropy_classifier is None:
            return "neither the features nor labels of the reference give a classifier"
        if need == "clip" and not comparison.extractor.name.startswith("clip"):
            return "it is defined in CLIP's space" + possible("; choose {features} clip", "")
        if need == "reference images" and not comparison.pixels:
            return "the stored reference holds features, no images"
        if need == "more than points" and prod(comparison.samples.images.shape[1:]) <= 2:
            return "toy 2-D points coincide by chance, which is no evidence of copying"
        fewest = min(len(comparison.samples), len(comparison.reference))
        if need == "neighbours" and fewest <= NEIGHBOUR:
            return f"{fewest} samples or reference images, wanted more than {NEIGHBOUR}"
        size = comparison.extractor.dimension
        if need == "many" and fewest < (wanted := fewest_to_extrapolate(size)):
            return (
                f"{len(comparison.samples)} samples and {len(comparison.reference)} reference "
                f"images are too few to extrapolate in {size} dimensions: needs {wanted} of each; "
                "take more, or a smaller feature space"
            )
    return ""


_NEAR = (
    "root mean square difference in levels, images shrunk to at most 32 pixels, in units of the "
    "spacing of the training images around"
)

METRICS: dict[str, Metric] = {
    "fd": Metric(
        "FD",
        "lower",
        measurements.frechet,
        "Frechet distance of Gaussians fitted to the features, covariances / (n - 1), float64; "
        "biased upwards by about its floor",
        ideal=lambda _: 0.0,
        floor=measurements.frechet_floor,
        within=POSITIVE,
    ),
    "fd_infinity": Metric(
        "FD-infinity",
        "lower",
        measurements.extrapolated,
        "Frechet distance extrapolated to endless samples, linear in 1/n",
        needs=("many",),
        ideal=lambda _: 0.0,
        floor=measurements.extrapolated_floor,
    ),
    "kid": Metric(
        "KID",
        "lower",
        measurements.kernel,
        "squared maximum mean discrepancy with the kernel (x.y/D + 1)^3, unbiased: it may be below "
        "0; all images at once, no subsets",
        ideal=lambda _: 0.0,
    ),
    "texture_fd": Metric(
        "FD",
        "lower",
        measurements.texture_frechet,
        "Frechet distance as fd, of filter energies, spectra and thumbnails",
        needs=("reference images", "more than points"),
        space="texture",
        ideal=lambda _: 0.0,
        floor=measurements.texture_floor,
        within=POSITIVE,
    ),
    "mind": Metric(
        "MIND",
        "lower",
        measurements.sliced,
        "3 D times the mean over 1,000 directions of the squared Wasserstein-2 distance",
        ideal=lambda _: 0.0,
        within=POSITIVE,
    ),
    "cmmd": Metric(
        "CMMD",
        "lower",
        measurements.gaussian,
        "squared maximum mean discrepancy with a Gaussian kernel of width 10, times 1,000, "
        "unbiased: it may be below 0",
        needs=("clip",),
        ideal=lambda _: 0.0,
    ),
    "precision": Metric(
        "precision",
        "higher",
        partial(measurements.ball, "precision"),
        f"share of samples strictly inside a real image's ball, k = {NEIGHBOUR}, equal sizes",
        needs=("neighbours",),
        floor=partial(measurements.ball_floor, "precision"),
        within=SHARE,
    ),
    "recall": Metric(
        "recall",
        "higher",
        partial(measurements.ball, "recall"),
        f"share of real images strictly inside a sample's ball, k = {NEIGHBOUR}, equal sizes",
        needs=("neighbours",),
        floor=partial(measurements.ball_floor, "recall"),
        within=SHARE,
    ),
    "density": Metric(
        "density",
        "neither",
        partial(measurements.ball, "density"),
        f"mean number of real balls that a sample lies in, over k = {NEIGHBOUR}, equal sizes",
        needs=("neighbours",),
        floor=partial(measurements.ball_floor, "density"),
        ideal=lambda _: 1.0,
        within=POSITIVE,
    ),
    "coverage": Metric(
        "coverage",
        "higher",
        partial(measurements.ball, "coverage"),
        f"share of real images with a sample strictly inside their ball, k = {NEIGHBOUR}, equal "
        "sizes",
        needs=("neighbours",),
        floor=partial(measurements.ball_floor, "coverage"),
        ideal=lambda c: expected_coverage(c.balls.real, c.balls.generated, NEIGHBOUR),
        within=SHARE,
    ),
    "vendi": Metric(
        "Vendi score",
        "neither",
        measurements.variety,
        "exponential of the entropy of the eigenvalues of the cosine kernel: how many different "
        "images the samples amount to",
        floor=measurements.variety_floor,
        within=(1.0, inf),
    ),
    "inception_score": Metric(
        "IS",
        "neither",
        measurements.entropy,
        "exponential of the mean divergence of a sample's class probabilities from their mean, "
        "10 splits",
        needs=("entropy classifier",),
        space="entropy classifier",
        within=(1.0, inf),
    ),
    "modes": Metric(
        "mode KL",
        "lower",
        measurements.modes,
        "divergence of the predicted classes' shares from the reference's, in nats; `modes` counts "
        "the classes seen; `floor_kl` is what a perfect sampler scores by chance",
        needs=("classifier",),
        space="classifier",
        ideal=lambda _: 0.0,
        within=POSITIVE,
    ),
    "label_accuracy": Metric(
        "label accuracy",
        "higher",
        measurements.accuracy,
        "share of samples in which the classifier sees the requested label",
        needs=("sample labels", "classifier"),
        space="classifier",
        floor=measurements.accuracy_of_reference,
        floor_words="its accuracy on the reference images, all of them",
        within=SHARE,
    ),
    "prompt_top1": Metric(
        "prompt retrieval, top 1",
        "higher",
        partial(measurements.prompts, 1),
        "share of samples whose own prompt is the nearest, of up to 100 captions, to an image-text "
        "model of the training pairs",
        needs=("captions", "reference images"),
        space="pixels",
        floor=partial(measurements.prompts_floor, 1),
        floor_words="the same of held-out images and their captions",
        within=SHARE,
    ),
    "prompt_top5": Metric(
        "prompt retrieval, top 5",
        "higher",
        partial(measurements.prompts, 5),
        "share of samples whose own prompt is among the 5 nearest, of up to 100 captions, to an "
        "image-text model of the training pairs",
        needs=("captions", "reference images"),
        space="pixels",
        floor=partial(measurements.prompts_floor, 5),
        floor_words="the same of held-out images and their captions",
        within=SHARE,
    ),
    "prompt_swap": Metric(
        "attribute swap",
        "higher",
        measurements.prompt_swap,
        "of pairs of samples from the same noise and prompts that differ in one word, the share "
        "that an image-text model of the training pairs finds nearer to their own prompt than to "
        "the other",
        needs=("captions", "swapped captions", "reference images"),
        space="pixels",
        floor=measurements.prompt_swap_floor,
        floor_words="share of held-out images nearer to their own caption than to one so changed",
        within=SHARE,
    ),
    "number_error": Metric(
        "number error",
        "lower",
        measurements.number_error,
        "mean difference of the number that was given and the one that a network trained on the "
        "training images reads, in standard deviations of these",
        needs=("numbers", "reference images"),
        space="pixels",
        ideal=lambda _: 0.0,
        floor=measurements.number_error_floor,
        floor_words="the same of held-out images and their numbers",
        within=POSITIVE,
    ),
    "mask_iou": Metric(
        "mask IoU",
        "higher",
        measurements.mask_overlap,
        "overlap (IoU, mean over classes) of the mask that was given and the one that a network "
        "trained on the training images reads",
        needs=("masks", "reference images"),
        space="pixels",
        ideal=lambda _: 1.0,
        floor=measurements.mask_overlap_floor,
        floor_words="the same of held-out images and their masks",
        within=SHARE,
    ),
    "map_error": Metric(
        "map error",
        "lower",
        measurements.map_error,
        "mean absolute difference, in pixel values, of the map that was given and the one that is "
        "derived from the sample",
        needs=("derived maps",),
        space="pixels",
        ideal=lambda _: 0.0,
        floor=lambda _: 0.0,
        floor_words="0: real images have the maps that are derived from them",
        within=POSITIVE,
    ),
    "class_fd": Metric(
        "mean FD by class",
        "lower",
        measurements.by_class,
        "Frechet distance of each class's samples to its reference images, mean over classes",
        needs=("sample labels",),
        ideal=lambda _: 0.0,
        floor=measurements.by_class_floor,
        floor_words="as many other real images of each class in place of the samples",
        within=POSITIVE,
    ),
    "cas": Metric(
        "CAS",
        "higher",
        measurements.usefulness,
        "accuracy on the reference images of a classifier trained on the samples alone",
        needs=("sample labels", "classifier", "reference images"),
        space="pixels",
        floor_words="the same trained on as many real images",
        within=SHARE,
    ),
    "memorization": Metric(
        "memorization",
        "lower",
        measurements.memorization,
        "share of samples strictly nearer to a training image than 1 % of real images are; "
        + _NEAR,
        needs=("reference images", "more than points"),
        space="pixels",
        ideal=lambda _: 0.01,
        floor=measurements.memorization_floor,
        floor_words="the same of each held-out image by the others",
        within=SHARE,
    ),
    "c_t": Metric(
        "C_T",
        "neither",
        measurements.copying,
        "z-score of samples' distances to the training set against held-out images', weighted over "
        "3 cells; far below 0: copying, far above: underfit; no flag, blur moves it too",
        needs=("reference images", "more than points"),
        space="pixels",
        ideal=lambda _: 0.0,
        floor=measurements.copying_floor,
    ),
    "authenticity": Metric(
        "authenticity",
        "neither",
        measurements.authentic,
        "share of samples farther from their nearest training image than that is from its own "
        "nearest other; no flag, blur moves it too",
        needs=("reference images", "more than points"),
        space="pixels",
        floor=measurements.authentic_floor,
        floor_words="the same of all held-out images",
        within=SHARE,
    ),
}
"""Every metric by the name that the command and the results use."""

QUICK = (
    "fd",
    "kid",
    "texture_fd",
    "precision",
    "recall",
    "density",
    "coverage",
    "label_accuracy",
    "memorization",
)
"""What every finished run is measured by."""
