"""Amazon SNS: notifications of topics."""
