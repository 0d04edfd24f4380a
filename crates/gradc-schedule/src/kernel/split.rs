//! Cutting a kernel up: which of its loops may run in pieces at the same time, and the kernel that runs one piece.
//!
//! A kernel is cut at one loop of each of its outermost loops: itself, or one that is the only loop within it. All of these run
//! from 0 to a common number of *units*, a unit being one iteration or, in a loop that has merged with another one, several.
//! A piece is the same kernel for some of the units; what is outside of the loops that are cut runs in every piece.
//!
//! # Why pieces may run at the same time
//!
//! [`split`] proves that no piece touches an element that another one writes. For each buffer that is written there is a
//! stride *s* such that every access to it is at *s* · unit + low + *M* · high, with 0 ≤ low < *s* and *s* · units ≤ *M*. So the
//! element's position, modulo *M* and divided by *s*, is the unit: accesses of different units are to different elements. Nothing
//! is stored, added up or combined outside of the loops that are cut, and nothing that is written is read there.
//!
//! # Why pieces compute the same
//!
//! Each unit does what it does in the whole kernel, in the same order. No accumulator runs across units.

use std::ops::Range;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::{Affine, Expr, Kernel, Loop, LoopKind, LoopVar, Reg, Stmt};

/// Pieces of vector loops begin at multiples of so many elements: whole vectors, and lines of the cache.
const VECTOR_STEP: usize = 64;

/// Where a kernel can be cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// How many units there are, two at least.
    pub units: usize,
    /// Pieces should begin at multiples of so many units.
    pub step: usize,
    /// The loops that are cut, and how many iterations of each are a unit.
    loops: SmallVec<[(LoopVar, usize); 2]>,
    /// By how many elements the accesses to each buffer move with a unit; `None` where they do not agree.
    strides: Vec<Option<i64>>,
}

/// Part of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// What it does. Pieces of the same size are mostly the same kernel.
    pub kernel: Kernel,
    /// How many elements into each buffer it is to be given it from; before the buffer, where it walks it backwards.
    pub offsets: Vec<i64>,
}

/// The first place where a kernel can be cut.
pub fn split(kernel: &Kernel) -> Option<Split> {
    splits(kernel).into_iter().next()
}

/// The places where a kernel can be cut: the outermost loops, if these can be, then those within.
pub fn splits(kernel: &Kernel) -> Vec<Split> {
    let nests: Vec<&Loop> = kernel.body.iter().filter_map(as_loop).collect();
    let Some(largest) = (0..nests.len()).max_by_key(|&nest| (iterations(nests[nest]), nest)) else { return Vec::new() };
    let split = |cut: &Loop| {
        let units = cut.extent;
        if units < 2 {
            return None;
        }
        let loops = nests.iter().enumerate().map(|(at, nest)| {
            let cut = if at == largest { cut } else { nest };
            (cut.extent > 0 && cut.extent % units == 0).then(|| (cut.var, cut.extent / units))
        });
        let loops: SmallVec<[(LoopVar, usize); 2]> = loops.collect::<Option<_>>()?;
        let strides = Proof::of(kernel, &loops)?.strides(kernel, units)?;
        let step = if cut.kind == LoopKind::Vector { VECTOR_STEP } else { 1 };
        Some(Split { units, step, loops, strides })
    };
    chain(nests[largest]).into_iter().filter_map(split).collect()
}

impl Split {
    /// The part of `kernel`, which this was made of, for some of its units.
    pub fn piece(&self, kernel: &Kernel, units: Range<usize>) -> Piece {
        let mut piece = kernel.clone();
        for stmt in &mut piece.body {
            self.restrict(stmt, &units, None);
        }
        let start = units.start as i64;
        for (param, stride) in piece.buffers.iter_mut().zip(&self.strides) {
            let beyond = stride.unwrap_or(0).max(0) as usize * (self.units - units.len());
            param.elements = param.elements.saturating_sub(beyond);
        }
        Piece { kernel: piece, offsets: self.strides.iter().map(|stride| stride.unwrap_or(0) * start).collect() }
    }

    /// Makes a statement one of the piece; `cut` is the loop around it that is cut.
    fn restrict(&self, stmt: &mut Stmt, units: &Range<usize>, cut: Option<(LoopVar, usize)>) {
        let moved = |function: &mut Affine| {
            if let Some((var, unit)) = cut {
                function.offset += function.stride(var) * (unit * units.start) as i64;
            }
        };
        let alone = |buffer: usize| self.strides[buffer].is_none();
        match stmt {
            Stmt::Loop(inner) => {
                let own = self.loops.iter().copied().find(|(var, _)| *var == inner.var);
                if let Some((_, unit)) = own {
                    inner.extent = unit * units.len();
                }
                inner.body.iter_mut().for_each(|stmt| self.restrict(stmt, units, own.or(cut)));
            }
            Stmt::Let { expr: Expr::Index(function), .. } => moved(function),
            Stmt::Let { expr: Expr::Load { buffer, address } | Expr::LoadIndexed { buffer, address, .. }, .. }
            | Stmt::Store { buffer, address, .. }
            | Stmt::ScatterAdd { buffer, address, .. }
                if alone(*buffer) =>
            {
                moved(address);
            }
            _ => {}
        }
    }
}

fn as_loop(stmt: &Stmt) -> Option<&Loop> {
    if let Stmt::Loop(inner) = stmt { Some(inner) } else { None }
}

/// How often the innermost statements run.
fn iterations(nest: &Loop) -> usize {
    let inner = nest.body.iter().filter_map(as_loop).map(iterations).max().unwrap_or(1);
    nest.extent.saturating_mul(inner)
}

/// A loop, the only loop in it, and so on.
fn chain(nest: &Loop) -> Vec<&Loop> {
    let mut chain = vec![nest];
    let mut innermost = nest;
    loop {
        let mut inner = innermost.body.iter().filter_map(as_loop);
        match (inner.next(), inner.next()) {
            (Some(only), None) => {
                chain.push(only);
                innermost = only;
            }
            _ => return chain,
        }
    }
}

/// What is known of the accesses to one buffer.
#[derive(Default)]
struct Accesses<'k> {
    /// Each address, and the loop around it that is cut, with the iterations of a unit.
    affine: Vec<(&'k Affine, Option<(LoopVar, usize)>)>,
    written: bool,
    indexed: bool,
}

/// The proof that pieces are apart, as far as it has come.
struct Proof<'k> {
    accesses: Vec<Accesses<'k>>,
    extents: FxHashMap<LoopVar, usize>,
    loops: &'k [(LoopVar, usize)],
    /// The accumulators of the current loop that is cut.
    accumulators: Vec<Reg>,
}

impl<'k> Proof<'k> {
    /// The accesses of a kernel that is cut at some loops; `None` where it does something outside of them that it may not.
    fn of(kernel: &'k Kernel, loops: &'k [(LoopVar, usize)]) -> Option<Proof<'k>> {
        let accesses = kernel.buffers.iter().map(|_| Accesses::default()).collect();
        let mut proof = Proof { accesses, extents: FxHashMap::default(), loops, accumulators: Vec::new() };
        kernel.body.iter().try_for_each(|stmt| proof.stmt(stmt, None))?;
        Some(proof)
    }

    fn stmt(&mut self, stmt: &'k Stmt, cut: Option<(LoopVar, usize)>) -> Option<()> {
        match stmt {
            Stmt::Loop(inner) => {
                self.extents.insert(inner.var, inner.extent);
                let own = self.loops.iter().copied().find(|(var, _)| *var == inner.var);
                if own.is_some() {
                    self.accumulators.clear();
                }
                inner.body.iter().try_for_each(|stmt| self.stmt(stmt, own.or(cut)))
            }
            Stmt::Let { expr, .. } => {
                match expr {
                    Expr::Load { buffer, address } => self.accesses[*buffer].affine.push((address, cut)),
                    Expr::LoadIndexed { buffer, address, .. } => {
                        self.accesses[*buffer].affine.push((address, cut));
                        self.accesses[*buffer].indexed = true;
                    }
                    Expr::Const(_) | Expr::Op(..) | Expr::Index(_) => {}
                }
                Some(())
            }
            Stmt::Store { buffer, address, .. } => {
                self.accesses[*buffer].affine.push((address, cut));
                self.accesses[*buffer].written = true;
                cut.map(drop)
            }
            Stmt::Accumulator { reg, .. } => {
                self.accumulators.push(*reg);
                cut.map(drop)
            }
            Stmt::Accumulate { reg, .. } => (cut.is_some() && self.accumulators.contains(reg)).then_some(()),
            Stmt::ScatterAdd { .. } => None,
        }
    }

    /// By how much each buffer moves with a unit, if no unit touches what another one writes.
    fn strides(&self, kernel: &Kernel, units: usize) -> Option<Vec<Option<i64>>> {
        debug_assert_eq!(self.accesses.len(), kernel.buffers.len());
        let stride = |accesses: &Accesses<'k>| {
            let mut strides = accesses.affine.iter().map(|(address, cut)| {
                cut.map_or(0, |(var, unit)| address.stride(var).saturating_mul(i64::try_from(unit).unwrap_or(i64::MAX)))
            });
            let common = strides.next().unwrap_or(0);
            let common = strides.all(|stride| stride == common).then_some(common);
            match (accesses.written, common) {
                (false, common) => Some(common),
                (true, Some(stride)) if !accesses.indexed && self.are_apart(accesses, stride, units) => Some(common),
                (true, _) => None,
            }
        };
        self.accesses.iter().map(stride).collect()
    }

    /// Whether the unit follows from the element that is accessed: see the module's documentation.
    fn are_apart(&self, accesses: &Accesses<'k>, stride: i64, units: usize) -> bool {
        if stride < 1 {
            return false;
        }
        let others = |address: &'k Affine, cut: Option<(LoopVar, usize)>| {
            address.terms.iter().copied().filter(move |(var, _)| cut.is_none_or(|(own, _)| own != *var))
        };
        let high = |&(_, factor): &(LoopVar, i64)| factor.abs() >= stride;
        let modulus = accesses
            .affine
            .iter()
            .flat_map(|&(address, cut)| others(address, cut).filter(high))
            .fold(0, |divisor, (_, factor)| greatest_common_divisor(divisor, factor.unsigned_abs()));
        let Ok(modulus) = i64::try_from(modulus) else { return false };
        let span = i64::try_from(units).unwrap_or(i64::MAX).saturating_mul(stride);
        if modulus > 0 && span > modulus {
            return false;
        }
        accesses.affine.iter().all(|&(address, cut)| {
            let Some((own, unit)) = cut else { return false };
            let offset = if modulus > 0 { address.offset.rem_euclid(modulus) } else { address.offset };
            let terms = others(address, cut).filter(|term| !high(term)).chain([(own, stride / unit.max(1) as i64)]);
            let low = Affine { offset, terms: terms.collect() };
            let (least, greatest) = low.range(|var| match var == own {
                true => unit,
                false => self.extents.get(&var).copied().unwrap_or(1).max(1),
            });
            least >= 0 && greatest < stride
        })
    }
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
