"""Several processes test fused streams as one process does."""

import numpy as np
import pytest
from runs import Case, checkpoints, server


@pytest.fixture(scope="module")
def case(tmp_path_factory) -> Case:
    return Case(tmp_path_factory.mktemp("streams"))


def scored(case: Case, folder, world: int, batch: str, workers: str) -> dict[str, np.ndarray]:
    """Scores of RGB and flow by several ranks."""
    rgb = next(path for path in checkpoints(case.whole("train")) if "best" in path.name)
    words = f"--frame_dir {case.data}/frames --annotation_path {case.data}/labels --result_path results".split()
    words += ["--modality", "RGB_Flow", "--resume_path1", rgb, "--resume_path2", "flow.pth", "--device", "cpu"]
    words += ["--clips_per_batch", batch, "--n_workers", workers, "--scores_path", "scores.npz"]
    if world == 1:
        server().run("test_two_stream", words, case.folder(folder))
    else:
        ranks = server().ranks(world, "test_two_stream", words, case.folder(folder))
        assert [rank.wait(60) for rank in ranks] == [0] * world, "\n".join(rank.err for rank in ranks)
    assert "".join(path.read_text() for path in folder.glob("*.out")).count("Video accuracy") == 1
    with np.load(folder / "scores.npz") as scores:
        return dict(scores)


@pytest.fixture(scope="module")
def alone(case, tmp_path_factory) -> dict[str, np.ndarray]:
    return scored(case, tmp_path_factory.mktemp("alone") / "run", 1, "4", "0")


@pytest.mark.parametrize(
    ("world", "batch", "workers"),
    [(2, "4", "0"), *(pytest.param(w, b, n, marks=pytest.mark.slow) for w, b, n in [(2, "1", "2"), (3, "7", "0")])],
)
def test_fused_scores_depend_on_neither_ranks_nor_batches_nor_workers(case, alone, tmp_path, world, batch, workers):
    together = scored(case, tmp_path / "run", world, batch, workers)
    assert together.keys() == alone.keys()
    assert len(set(together["video"].tolist())) == len(together["video"]) == 6
    assert together["logits"].shape[:2] == (2, 6)
    for name, values in alone.items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(together[name], values, rtol=0, atol=1e-6, err_msg=name)
        elif values.dtype.kind == "i" or name in ("video", "streams", "class_names"):
            assert together[name].tolist() == values.tolist(), name
