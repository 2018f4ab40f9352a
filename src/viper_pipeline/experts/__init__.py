"""Who makes the videos: RL experts on state, scripts, searches, and how they are recorded."""
