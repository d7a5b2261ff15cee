"""Makes pages (Markdown) and plots (SVG) of the rows, and of nothing else."""
