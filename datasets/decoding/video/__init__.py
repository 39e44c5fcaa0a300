"""Decoding of video files: one decoder of (seconds, picture), and all that is built on it.

containers   opening a file, and which of its streams is the film
packets      what is in a file, without decoding, and whether it is whole
notes        warnings about how a file is read
outline      when each frame is on the screen
frames       the frames in their order, from the beginning or from anywhere
index        the times of all frames, also where only decoding tells them
pictures     a decoded frame as RGB, upright
rates        constant rates, and whether one suits the frames of a file
reading      a file at a constant rate and a given size, as it is extracted, or some of its frames, as training reads it
sizes        sizes of frames
"""
