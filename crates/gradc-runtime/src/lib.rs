//! What compiled gradc code calls: matrix multiplication and scalar fallbacks, with a C ABI
