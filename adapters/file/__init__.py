"""CSV, Excel and JSONL files in a folder, on an SFTP server or in an S3 bucket."""
