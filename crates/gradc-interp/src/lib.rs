//! The reference interpreter: evaluates any gradc graph, plainly
