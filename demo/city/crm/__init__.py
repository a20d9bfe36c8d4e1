"""The city's CRM: cursor pages, a search index that may lag, versions that guard each write."""
