"""ERPNext and other Frappe applications: customers and issues."""
