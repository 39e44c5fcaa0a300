"""How the published tools name the frames of a video."""

Layout = dict[str, tuple[str, ...]]

# Stream name -> file name of each image plane of frame i, i counted from 1. Flow i leads from frame i to i + 1.
LAYOUTS: dict[str, Layout] = {
    "sts": {"rgb": ("{:05d}.jpg",), "flow": ("TVL1jpg_x_{:05d}.jpg", "TVL1jpg_y_{:05d}.jpg")},
}

DONE = "done"  # written last by the extractors: the video is complete
