"""Video models: p(frame | earlier frames) over the tokenizer's codes, by name."""

from viper_pipeline.core.registry import Registry

VIDEO_MODELS = Registry(
    "video model",
    {
        "videogpt": "viper_pipeline.video_models.videogpt:VideoGPT",
        "videogpt_streaming": "viper_pipeline.video_models.videogpt_streaming:StreamingVideoGPT",
        "videogpt_ratio": "viper_pipeline.video_models.videogpt_ratio:RatioVideoGPT",
        "maskgit": "viper_pipeline.video_models.maskgit:MaskGIT",
        "byol": "viper_pipeline.video_models.byol:BYOL",
    },
)
"""Implementations by name; a new one is a file with a class like `base.VideoModel` and a line here."""
