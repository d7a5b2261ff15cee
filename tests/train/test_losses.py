"""The losses against their equations, written out."""

import contextlib

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bittern.train.losses import Features, attention_loss, distribution_loss


def test_the_distribution_loss_is_the_divergence_from_the_teacher_plus_its_entropy() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(5, 7), torch.randn(5, 7)
    p = teacher.softmax(1)
    divergence = F.kl_div(student.log_softmax(1), p, reduction="batchmean")
    entropy = -(p * p.log()).sum(1).mean()
    torch.testing.assert_close(distribution_loss(student, teacher), divergence + entropy)


def test_the_distribution_loss_is_least_where_the_student_is_the_teacher() -> None:
    teacher = torch.randn(5, 7, dtype=torch.float64)
    student = teacher.clone().requires_grad_()
    distribution_loss(student, teacher).backward()
    torch.testing.assert_close(student.grad, torch.zeros_like(teacher))


def test_attention_compares_where_energy_is_not_how_much_nor_in_which_channel() -> None:
    torch.manual_seed(0)
    features = torch.randn(3, 4, 5, 6)
    assert attention_loss([features], [7 * features.flip(1)]).item() == pytest.approx(0, abs=1e-6)


def test_attention_of_unlike_pixels_is_the_square_root_of_two() -> None:
    left, right = torch.zeros(2, 3, 1, 2), torch.zeros(2, 1, 1, 2)
    left[..., 0], right[..., 1] = 5.0, 1.0  # different numbers of channels are no obstacle
    torch.testing.assert_close(attention_loss([left, left], [right, left]), torch.tensor(2.0).sqrt())


def test_attention_of_maps_of_unlike_sizes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"student's maps are \[\(4, 4\)\] and the teacher's \[\(2, 2\)\]"):
        attention_loss([torch.ones(1, 1, 4, 4)], [torch.ones(1, 1, 2, 2)])


def test_features_are_the_latest_outputs_of_the_named_modules_and_nothing_stays_behind() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Conv2d(2, 3, 1))
    with contextlib.closing(Features(model, ["2", "0"])) as features:
        y = model(torch.ones(1, 1, 4, 4))
        assert features.maps[0] is y
        assert features.maps[1].shape == (1, 2, 4, 4)
    model(torch.zeros(1, 1, 4, 4))
    assert features.maps[0] is y


def test_features_of_modules_that_do_not_exist_are_refused_with_those_that_do() -> None:
    model = nn.Sequential(nn.Sequential(nn.Sequential(nn.ReLU())), nn.ReLU())
    message = r"Sequential has no module 'blocks', '3\.1' .* two levels, are: 0, 0\.0, 1\. Name"
    with pytest.raises(ValueError, match=message):
        Features(model, ["blocks", "0", "3.1"])
    with pytest.raises(ValueError, match=r"has no module 'blocks' .* are: none"):
        Features(nn.Sequential(), ["blocks"])
