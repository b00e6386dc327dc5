"""Videos as such, for models whose processor has a video processor and whose template a slot.

The frames were sampled by the runner, the same for every model, so nothing is sampled here: the
processor receives when each frame was shown and how long the video is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from schemas.commands import Turn, Video

from .prompt import open_files

MILLISECONDS = 1000


def takes_videos(processor: Any) -> bool:
    """Whether the processor has a working video processor (without torchvision it has none)."""
    part = getattr(processor, "video_processor", None)
    return callable(part) and isinstance(getattr(processor, "video_token", None), str)


def takes_one_kind(processor: Any) -> bool:
    """Whether images and videos go into the same tensors, where (SmolVLM's) one kind is lost."""
    parts = (processor.image_processor, processor.video_processor)
    images, videos = (set(getattr(part, "model_input_names", ())) for part in parts)
    return bool(images & videos)


def fills_slot(render: Callable[[Sequence[Turn]], str], token: str) -> bool:
    """Whether the template puts the video's token where a video stands."""
    video = Video(frames=("",), times_s=(0.0,), duration_s=1.0)
    try:
        return token in render([Turn(text="x", videos=(video,))])
    except Exception:  # templates raise any exception at unknown parts
        return False


def video_options(turns: Sequence[Turn]) -> dict[str, Any]:
    """The processor's arguments for the videos of a conversation."""
    videos = [video for turn in turns for video in turn.videos]
    settings = {"do_sample_frames": False, "video_metadata": [metadata(v) for v in videos]}
    # A list for each prompt, as SmolVLM's processor counts them; others flatten it.
    frames = [[open_files(video.frames) for video in videos]]
    return {"videos": frames, "videos_kwargs": settings}


def metadata(video: Video) -> dict[str, Any]:
    """The video as transformers' VideoMetadata has it, as if it had a frame each millisecond.

    It knows times only as numbers of evenly spaced frames, which the file's need not be.
    """
    total = max(1, round(video.duration_s * MILLISECONDS))
    return {
        "total_num_frames": total,
        "fps": float(MILLISECONDS),
        "duration": video.duration_s,
        "frames_indices": [min(total - 1, round(time * MILLISECONDS)) for time in video.times_s],
    }


def video_token_id(model: Any, processor: Any) -> int | None:
    """The input id that represents (a part of) a video, or None."""
    for owner, name in (
        (model.config, "video_token_id"),
        (model.config, "video_token_index"),
        (processor, "video_token_id"),
    ):
        value = getattr(owner, name, None)
        if isinstance(value, int):
            return value
    return None
