"""Storage forms of videos, each a `store.Store`: folders of frames, video files, packed clips."""
