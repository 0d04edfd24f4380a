//! Every operator of the registry with all its derivatives, interpreted and as machine code: against JAX's numbers
//! (tests/reference), and on numbers that are not ordinary ones.

mod halves;
mod reference;
mod special;
mod subject;
