"""Records of several systems kept alike, whoever edits them."""
