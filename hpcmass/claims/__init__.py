"""The paper's six claims, checked against comparisons: a verdict for each, its numbers, and how sure it is."""
