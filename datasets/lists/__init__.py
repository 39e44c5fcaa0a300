"""Lists of videos: annotation files in every published form, class folders, groups."""
