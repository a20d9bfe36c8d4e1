"""Any SQL database: MySQL and MariaDB, PostgreSQL, SQL Server, Oracle, SQLite."""
