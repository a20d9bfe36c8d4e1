"""用友 YonBIP and YonSuite: customers, products, orders and opportunities; event push."""
