"""Splitting a video into clips."""


def split_clips(num_frames: int, clip_size: int) -> list[int]:
    """Ends of the clips of a video.

    As many clips as whole clips of `clip_size` would need. What is missing in the last one is taken from the last
    clips, one frame each; where there are too few clips for that, the last clip is the short one.

    >>> split_clips(36, 5)
    [5, 10, 15, 20, 24, 28, 32, 36]
    >>> split_clips(11, 5)
    [5, 10, 11]
    """
    if num_frames < 1 or clip_size < 1:
        raise ValueError(f"a video of {num_frames} frames cannot be split into clips of {clip_size}")
    num_clips = -(-num_frames // clip_size)
    missing = num_clips * clip_size - num_frames
    if missing < num_clips:
        sizes = [clip_size] * (num_clips - missing) + [clip_size - 1] * missing
    else:
        sizes = [clip_size] * (num_clips - 1) + [clip_size - missing]
    return [sum(sizes[: index + 1]) for index in range(num_clips)]
