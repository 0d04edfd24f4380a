//! Reverse-mode differentiation as a graph-to-graph transformation
