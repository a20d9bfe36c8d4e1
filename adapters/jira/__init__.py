"""Jira Service Management: requests and their comments."""
