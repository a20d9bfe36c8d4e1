"""钉钉 DingTalk: event callbacks and messages to a robot."""
