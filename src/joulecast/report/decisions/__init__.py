"""Words and pictures of decisions: changes, fronts, plans, the hours of a grid."""
