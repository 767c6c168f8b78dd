"""Examples and batches of the digit datasets."""

import pytest
import torch

from stnlab.config import compose
from stnlab.data import mnist
from stnlab.data.image_batches import Examples, ImageBatches, lay_out
from stnlab.data.randomness import Stream, derived_seed, generator
from stnlab.datasets.digits import consecutive_pairs
from stnlab.distortions import Backend, Similarity

SINGLE, TWO_CHANNEL, SAME_IMAGE = (
    compose([f"dataset={name}"]).dataset.spec() for name in ("rot90", "two-channel", "same-image")
)


def parts(*overrides):
    return compose(overrides).dataset.load()


def batches(examples, spec=SINGLE, **changes):
    settings = {"mean": (mnist.MEAN,), "std": (mnist.STD,), "batch_size": 8}
    settings |= {"distortion": Similarity(90), "distortion_key": (0,), "order_key": (0,)}
    return ImageBatches(examples, spec, **(settings | changes))


@pytest.fixture(scope="module")
def examples():
    images = torch.randint(
        0, 256, (40, 1, 28, 28), dtype=torch.uint8, generator=generator(Stream.order)
    )
    return Examples(images, torch.arange(40)[:, None], torch.arange(40) % 10)


def test_published_pair_counts():
    made = parts("dataset=two-channel", "dataset.val_size=0")
    assert (len(made.train), len(made.val), len(made.test)) == (119_999, 0, 19_999)


def test_the_texts_pair_counts():
    made = parts("dataset=same-image", "dataset.permutations=1", "dataset.val_size=0")
    assert (len(made.train), len(made.test)) == (59_999, 9_999)


def test_held_out_images_are_in_no_training_pair():
    made = parts("dataset=same-image")
    assert (len(made.train), len(made.val)) == (109_999, 9_999)
    assert not set(made.train.members.flatten().tolist()) & set(made.val.members.flatten().tolist())


def test_targets_are_sums():
    made = parts("dataset=two-channel")
    labels = mnist.load().train_labels
    first, second = made.train.members[123].tolist()
    assert made.train.targets[123] == labels[first] + labels[second]
    assert made.train.targets.min() == 0
    assert made.train.targets.max() == 18


def test_pairs_follow_dataset_seed_alone():
    one, same, other = (
        parts("dataset=two-channel", *extra) for extra in ([], ["seed=5"], ["dataset.seed=5"])
    )
    assert torch.equal(one.train.members, same.train.members)
    assert not torch.equal(one.train.members, other.train.members)


def test_every_item_is_paired_with_the_next():
    pairs = consecutive_pairs(torch.arange(5), 2, torch.Generator().manual_seed(0))
    assert len(pairs) == 9
    assert torch.equal(pairs[1:, 0], pairs[:-1, 1])
    assert sorted(pairs[:5, 0].tolist()) == list(range(5))


def test_layouts():
    digits = torch.rand(3, 2, 1, 28, 28)
    assert torch.equal(lay_out(digits, TWO_CHANNEL), digits[:, :, 0])
    joined = lay_out(digits, SAME_IMAGE)
    assert joined.shape == (3, 1, 28, 56)
    assert torch.equal(joined[..., :28], digits[:, 0])
    assert torch.equal(joined[..., 28:], digits[:, 1])


def test_pixels_are_normalised_after_the_distortion():
    image = torch.full((1, 1, 28, 28), 255, dtype=torch.uint8)
    examples = Examples(
        image, torch.zeros(1, 1, dtype=torch.long), torch.zeros(1, dtype=torch.long)
    )
    pixels, _ = next(
        iter(batches(examples, distortion=Similarity(translation=0.3), order_key=None))
    )
    inside, outside = (1 - 0.1307) / 0.3081, (0 - 0.1307) / 0.3081
    assert pixels.max().item() == pytest.approx(inside, abs=1e-4)
    assert pixels.min().item() == pytest.approx(outside, abs=1e-4)


def test_an_epochs_batches_are_keyed_not_consumed(examples):
    loader = batches(examples)
    once, twice = list(loader), list(loader)
    torch.rand(7)  # the global generator plays no part
    assert all(torch.equal(a[0], b[0]) for a, b in zip(once, twice, strict=True))
    loader.epoch = 1
    assert not torch.equal(next(iter(loader))[0], once[0][0])


def test_every_example_is_seen_once_an_epoch(examples):
    seen = torch.cat([targets for _, targets in batches(examples, batch_size=7)])
    assert sorted(seen.tolist()) == sorted(examples.targets.tolist())
    assert len(batches(examples, batch_size=7)) == 6


def test_a_distortion_belongs_to_its_example_whatever_the_order_and_batch_size(examples):
    def by_target(**changes):
        unique = Examples(examples.images, examples.members, torch.arange(40))
        found = {}
        for pixels, targets in batches(unique, **changes):
            found |= dict(zip(targets.tolist(), pixels, strict=True))
        return found

    one, other = by_target(), by_target(order_key=(9,), batch_size=16)
    for index, pixels in one.items():
        torch.testing.assert_close(pixels, other[index])


def test_two_digits_of_a_pair_are_distorted_independently(examples):
    twins = Examples(examples.images, torch.zeros(4, 2, dtype=torch.long), examples.targets[:4])
    pixels, _ = next(iter(batches(twins, TWO_CHANNEL)))
    assert not torch.allclose(pixels[:, 0], pixels[:, 1])


def test_backends_see_the_same_distortion():
    made = parts("dataset=two-channel")
    few = Examples(made.train.images, made.train.members[:20], made.train.targets[:20])
    tensor, pil = (
        next(iter(batches(few, TWO_CHANNEL, distortion=Similarity(45, 0.1, 0.3, backend))))[0]
        for backend in Backend
    )
    assert (tensor - pil).abs().max() < 1.01 / 255 / mnist.STD


def test_seeds_of_different_purposes_differ():
    seeds = {
        derived_seed(stream, seed, epoch)
        for stream in Stream
        for seed in (0, 1)
        for epoch in (0, 1)
    }
    assert len(seeds) == 4 * len(Stream)
    assert derived_seed(Stream.order, 0, 1) == derived_seed(Stream.order, 0, 1)
