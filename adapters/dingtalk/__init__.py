"""钉钉 DingTalk: events and messages to a robot, the address book, approvals, to-dos, notices."""
