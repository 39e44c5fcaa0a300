"""The forms in which videos may be stored, each a `store.Store`: folders of frames, video files, packed clips."""
