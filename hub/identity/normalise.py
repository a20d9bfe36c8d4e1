from hub.models.normalise import *  # noqa: F403
