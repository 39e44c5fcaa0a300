"""Mixup and CutMix: clips and labels are mixed by the same weights."""

import math

import pytest
import torch

from models.mixing import ClipMixing, create_mixing

CLASSES = 5


def batch(n=4):
    """Clips whose grey level tells which they are."""
    levels = torch.arange(n, dtype=torch.uint8) * 60
    clips = levels[:, None, None, None, None].expand(n, 2, 3, 16, 20).clone()
    return {"flow": clips, "label": torch.arange(n) % CLASSES, "index": torch.arange(n)}


@pytest.mark.parametrize("arguments", [(1.0, 0.0), (0.0, 1.0), (0.5, 0.5)])
def test_labels_are_mixed_as_the_clips_are(arguments):
    mixing = ClipMixing(*arguments)
    for seed in range(20):
        torch.manual_seed(seed)
        source = batch()
        mixed, soft = mixing(source, "flow", CLASSES)
        assert type(mixed["flow"]) is type(soft) is torch.Tensor
        assert torch.equal(source["flow"], batch()["flow"])
        assert torch.equal(mixed["index"], source["index"])
        assert soft.shape == (4, CLASSES)
        assert torch.allclose(soft.sum(1), torch.ones(4))
        own = soft[torch.arange(4), source["label"]]
        other = source["flow"].roll(1, 0).float().mean((1, 2, 3, 4))
        expected = own * source["flow"].float().mean((1, 2, 3, 4)) + (1 - own) * other
        assert torch.allclose(mixed["flow"].mean((1, 2, 3, 4)), expected, atol=1e-3)


def test_mixup_mixes_every_pixel_and_cutmix_cuts_one_box_through_all_frames():
    torch.manual_seed(1)
    mixed, soft = ClipMixing(mixup=1.0)(batch(), "flow", CLASSES)
    assert len(mixed["flow"][1].unique()) == 1
    assert 0 < soft[1, 1] < 1
    for seed in range(20):
        torch.manual_seed(seed)
        clip = ClipMixing(cutmix=1.0)(batch(), "flow", CLASSES)[0]["flow"][1]
        assert set(clip.unique().tolist()) <= {0.0, 60.0}
        assert torch.equal(clip, clip[:1, :1].expand_as(clip))


def test_draws_are_those_of_torchs_generator_and_both_kinds_occur():
    mixing, kinds = ClipMixing(1.0, 1.0), []
    for seed in range(30):
        outs = []
        for _ in range(2):
            torch.manual_seed(seed)
            outs.append(mixing(batch(), "flow", CLASSES)[0]["flow"])
        assert torch.equal(*outs)
        kinds.append(len(outs[0][1].unique()))
    assert {1, 2} <= set(kinds)


def test_options_build_it_or_nothing():
    assert create_mixing(0.0, 0.0) is None
    assert len(create_mixing(0.2, 1.0).transforms) == 2
    for arguments in ((-1.0, 0.5), (0.5, -1.0), (0.0, 0.0), (math.nan, 0.5), (0.5, math.inf)):
        with pytest.raises(ValueError, match="--mixup and --cutmix"):
            ClipMixing(*arguments)
