//! What the parts of a step read and write.

use gradc_runtime::MatmulPart;
use gradc_schedule::kernel::{Kernel, MemoryAccess, Piece, visit_accesses};
use gradc_schedule::plan::{Axes, BufferId, Gemm, MatrixRef, Operand, Plan};
use smallvec::SmallVec;
use std::ops::Range;

use super::region::Region;

/// A region of a buffer that a part of a step touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Touched<B> {
    /// Which buffer: one of a kernel's, by position, or one of the plan.
    pub(super) buffer: B,
    /// From the beginning of the buffer.
    pub(super) region: Region,
    /// Whether it is written; otherwise it is read alone.
    pub(super) written: bool,
}

impl<B> Touched<B> {
    /// The first so many bytes of a buffer are read, if there are any.
    pub(super) fn read(buffer: B, bytes: usize) -> Option<Touched<B>> {
        let run = i64::try_from(bytes).unwrap_or(i64::MAX);
        (run > 0).then(|| Touched { buffer, region: Region::new(0, run, []), written: false })
    }

    /// And written.
    pub(super) fn written(buffer: B, bytes: usize) -> Option<Touched<B>> {
        Touched::read(buffer, bytes).map(|touched| Touched { written: true, ..touched })
    }
}

/// What a piece of `kernel` touches: every address in it, for all iterations.
pub(super) fn by_piece(kernel: &Kernel, piece: &Piece) -> Vec<Touched<usize>> {
    let mut touched: Vec<Touched<usize>> = Vec::new();
    visit_accesses(&piece.kernel, &mut |MemoryAccess { buffer, address, is_write }, extents| {
        let param = &kernel.buffers[buffer];
        let size = param.dtype.size() as i64;
        let bytes = |elements: i64| elements.saturating_mul(size);
        let region = match address {
            Some(address) => {
                let loops = address.terms.iter().map(|&(var, stride)| (extents.of(var), bytes(stride)));
                Region::new(bytes(address.offset.saturating_add(piece.offsets[buffer])), size, loops)
            }
            // Any of it.
            None => match i64::try_from(param.elements).map_or(i64::MAX, bytes) {
                0 => return,
                all => Region::new(0, all, []),
            },
        };
        match touched.iter_mut().find(|known| known.buffer == buffer && known.region == region) {
            Some(known) => known.written |= is_write,
            None => touched.push(Touched { buffer, region, written: is_write }),
        }
    });
    touched
}

/// What a part of a product touches; memory for packed operands is not among it.
pub(super) fn by_part(plan: &Plan, gemm: &Gemm, part: &MatmulPart) -> Vec<Touched<BufferId>> {
    let size = gemm.dtype.size();
    let (batch, rows, columns) = (part.batch(), part.rows(), part.columns());
    let mut touched = Vec::new();
    let mut add = |matrix: &MatrixRef, rows: Range<usize>, columns: Range<usize>, written: bool| {
        let axes = [(&matrix.batch, batch.clone()), (&matrix.rows, rows), (&matrix.columns, columns)];
        if axes.iter().any(|(_, range)| range.is_empty()) {
            return;
        }
        let mut loops: SmallVec<[(usize, i64); 4]> = SmallVec::new();
        let starts = axes.into_iter().map(|(axes, range)| {
            positions(axes, range, &mut |extent, stride| {
                loops.push((extent, stride.saturating_mul(size) as i64));
            })
        });
        let start = starts.fold(matrix.offset, usize::saturating_add).saturating_mul(size);
        touched.push(Touched { buffer: matrix.buffer, region: Region::new(start as i64, size as i64, loops), written });
    };
    let is_packed = |operand: Operand| gemm.packed.is_some_and(|packed| packed.operand == operand);
    if !is_packed(Operand::A) {
        add(&gemm.a, rows.clone(), 0..gemm.k, false);
    }
    if !is_packed(Operand::B) {
        add(&gemm.b, 0..gemm.k, columns.clone(), false);
    }
    add(&gemm.c, rows, columns, true);
    // Of a packed operand, any part may read all.
    let bytes = |buffer: BufferId| plan.buffers[buffer.0 as usize].ty.bytes();
    touched.extend(gemm.packed.and_then(|packed| Touched::read(packed.buffer, bytes(packed.buffer))));
    if let Some(factor) = gemm.factor {
        touched.push(Touched { buffer: factor, region: Region::new(0, size as i64, []), written: false });
    }
    touched
}

/// Where some positions along axes are: the first element, and the loops that lead to the others. Where the positions end within
/// an axis, the loops lead to all of it.
fn positions(axes: &Axes, range: Range<usize>, add: &mut impl FnMut(usize, usize)) -> usize {
    let (mut first, mut last) = (range.start, range.end - 1);
    let mut within: usize = axes.iter().map(|axis| axis.extent).product();
    let (mut start, mut are_all) = (0usize, false);
    for axis in axes.iter() {
        within /= axis.extent.max(1);
        if are_all {
            add(axis.extent, axis.stride);
            continue;
        }
        let (from, to) = (first / within, last / within);
        start = start.saturating_add(from.saturating_mul(axis.stride));
        if from == to {
            (first, last) = (first % within, last % within);
        } else {
            add(to - from + 1, axis.stride);
            are_all = true;
        }
    }
    start
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use gradc_schedule::plan::Axis;

    use super::*;

    #[test]
    fn positions_are_among_those_that_loops_lead_to() {
        let axes = |axes: &[(usize, usize)]| {
            Axes::new(axes.iter().map(|&(extent, stride)| Axis { extent, stride })).expect("they are few")
        };
        for axes in [axes(&[(24, 3)]), axes(&[(2, 100), (3, 20), (4, 2)]), axes(&[])] {
            let count = axes.extent().expect("they are few");
            for (from, to) in (0..count).flat_map(|from| (from + 1..=count).map(move |to| (from, to))) {
                let mut loops = Vec::new();
                let start = positions(&axes, from..to, &mut |extent, stride| loops.push((extent, stride)));
                let mut found = BTreeSet::from([start]);
                for (extent, stride) in loops {
                    found = found.iter().flat_map(|at| (0..extent).map(move |index| at + index * stride)).collect();
                }
                let exact: BTreeSet<usize> = (from..to).map(|position| axes.at(position)).collect();
                assert!(exact.is_subset(&found), "{axes:?} {from}..{to}");
                if axes.len() < 2 || (from % 12, to % 12) == (0, 0) {
                    assert_eq!(exact, found);
                }
            }
        }
    }
}
