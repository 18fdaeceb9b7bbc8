import json
import math

import pytest
import torch
from torch import nn

from training.digits import HOLE, SIDE, augment, load_digits, rotate
from training.encoders import nearest_digit, nt_xent
from training.folder import NAME


def test_digits_are_divided_once_and_for_all_by_the_seed():
    digits = load_digits(torch.Generator().manual_seed(3))
    assert len(digits.images) == 1797
    assert digits.images.shape[1:] == (1, SIDE, SIDE)
    assert 0 <= digits.images.min() < digits.images.max() <= 1
    assert sorted([*digits.learnt.tolist(), *digits.held.tolist()]) == list(range(1797))
    assert len(digits.held) == 599


def test_an_augmented_image_is_moved_noisy_and_has_a_hole():
    images = torch.full((200, 1, SIDE, SIDE), 0.5)
    found = augment(images, torch.Generator().manual_seed(0))
    assert found.shape == images.shape
    assert (found == 0).flatten(1).sum(dim=1).min() >= HOLE**2
    assert 0 <= found.min() < found.max() <= 1
    centre = torch.zeros(300, 1, SIDE, SIDE)
    centre[:, 0, 4, 4] = 1
    moved = augment(centre, torch.Generator().manual_seed(0))[:, 0]
    places = {divmod(int(each.argmax()), SIDE) for each in moved if each.max() > 0.6}
    assert places == {(row, column) for row in (3, 4, 5) for column in (3, 4, 5)}


def test_four_quarter_turns_are_one_whole():
    images = torch.rand(4, 1, SIDE, SIDE)
    turned = rotate(images, torch.arange(4))
    assert torch.equal(turned[0], images[0])
    assert torch.equal(turned[2], images[2].flip(1, 2))
    assert torch.equal(torch.rot90(turned[1], 3, (1, 2)), images[1])


def test_nt_xent_is_that_of_its_definition():
    projected = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    unit = projected / projected.norm(dim=1, keepdim=True)
    expected = 0.0
    for i in range(6):
        j = (i + 3) % 6
        others = sum(math.exp(float(unit[i] @ unit[k]) / 0.5) for k in range(6) if k != i)
        expected -= math.log(math.exp(float(unit[i] @ unit[j]) / 0.5) / others) / 6
    loss, _ = nt_xent(projected, 0.5)
    assert float(loss) == pytest.approx(expected)
    _, accuracy = nt_xent(torch.eye(3).repeat(2, 1), 0.5)
    assert float(accuracy) == 1.0


def test_the_nearest_pixels_are_mostly_of_the_same_digit():
    assert nearest_digit(nn.Flatten(), load_digits(torch.Generator().manual_seed(0))) > 0.95


@pytest.mark.parametrize("kind", ["simclr", "rotation"])
def test_the_loss_on_held_out_images_falls(trained, kind):
    steps = json.loads((trained(kind) / NAME).read_text())["checkpoints"]
    assert steps[-1]["test_loss"] < steps[0]["test_loss"]
