//! Regions: parts of the graph, each of which goes through an e-graph of its own.
//!
//! Nets have thousands of values but few different layers. A region is a block: what lies between two products of matrices in the
//! forward pass, with the values of the backward pass and the optimiser that belong to it, so that the closed form of a derivative
//! is found next to the forward value that it uses. Only a block that is larger than a limit is cut. What a region takes from
//! outside is opaque to it, facts aside. Regions of one structure are solved once.

mod blocks;
mod partition;
mod rewrite;
mod solve;
mod structure;

pub(crate) use blocks::{Spot, spots};
pub(crate) use rewrite::{Pass, Solutions, Used, rewrite};
pub(crate) use solve::{History, Solution, SolvedTerm};
use structure::{Key, Keys, Uses};
pub(crate) use structure::{LocalNode, Structure};

use egg::Id;
use partition::{Homes, partition};
use solve::solve;

/// A part of the graph: its values in order.
pub(crate) struct Region {
    /// The values that are computed here.
    pub(crate) values: Vec<Id>,
    /// The block that they are in.
    pub(crate) block: u32,
}
