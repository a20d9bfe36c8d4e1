"""MQTT brokers: telemetry of devices."""
