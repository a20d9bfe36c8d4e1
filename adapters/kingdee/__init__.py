"""金蝶云星空 Kingdee K/3 Cloud: customers, materials, orders and receivables, by its WebAPI."""
