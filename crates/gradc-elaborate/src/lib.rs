//! From syntax trees to typed graphs: names, dims, layers and the prelude
