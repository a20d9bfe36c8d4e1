"""用友 YonBIP and YonSuite: event push."""
