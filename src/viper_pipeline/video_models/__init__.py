"""Video models: p(frame | earlier frames) over codes, by name."""

from viper_pipeline.plugs import Plugs

VIDEO_MODELS = Plugs("video model", {"videogpt": "viper_pipeline.video_models.videogpt:VideoGPT"})
