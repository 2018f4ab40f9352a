"""Results: statistics, figures, the page. Values in, values and bytes out."""
