"""Video models: p(frame | earlier frames) over codes, by name."""

from viper_pipeline.core.registry import Registry

VIDEO_MODELS = Registry(
    "video model",
    {
        "videogpt": "viper_pipeline.video_models.videogpt:VideoGPT",
        "banded": "viper_pipeline.video_models.videogpt_streaming:BandedGPT",
        "maskgit": "viper_pipeline.video_models.maskgit:MaskGIT",
        "byol": "viper_pipeline.video_models.byol:BYOL",
    },
)
