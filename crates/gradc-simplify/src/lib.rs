//! E-graph simplification of gradc graphs: rules, facts, cost and extraction
