//! Tensor types, the operator registry and the typed graph that every gradc pass works on
