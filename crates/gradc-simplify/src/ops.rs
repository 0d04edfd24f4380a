//! Operators with their attributes, as rules and canonical forms write them.

use gradc_ir::op::{broadcast, cast, concat, full, matmul, pad, reshape, transpose};
use gradc_ir::{Attr, Attrs, DType, Op, OpDef, TensorType};

/// `full(value)` of a type, in the one way in which each constant is written.
pub(crate) fn full(value: f64, ty: &TensorType) -> Op {
    let value = if value.is_nan() { f64::NAN } else { ty.dtype.round(value) };
    let shape: &[usize] = &ty.shape;
    full::FULL.with(Attrs::new([("value", Attr::from(value)), ("dtype", ty.dtype.into()), ("shape", shape.into())]))
}

/// `cast` to `dtype`.
pub(crate) fn cast(dtype: DType) -> Op {
    cast::CAST.with(Attrs::new([("dtype", Attr::from(dtype))]))
}

/// `broadcast` to `shape`, axis `i` of the operand as axis `axes[i]`.
pub(crate) fn broadcast(axes: &[usize], shape: &[usize]) -> Op {
    broadcast::BROADCAST.with(Attrs::new([("axes", Attr::from(axes)), ("shape", shape.into())]))
}

/// `reshape` to `shape`.
pub(crate) fn reshape(shape: &[usize]) -> Op {
    reshape::RESHAPE.with(Attrs::new([("shape", Attr::from(shape))]))
}

/// `transpose` by `permutation`.
pub(crate) fn transpose(permutation: &[usize]) -> Op {
    transpose::TRANSPOSE.with(Attrs::new([("permutation", Attr::from(permutation))]))
}

/// `concat` along `axis`.
pub(crate) fn concat(axis: usize) -> Op {
    concat::CONCAT.with(Attrs::new([("axis", Attr::from(axis))]))
}

/// `pad` with zeros around the operand.
pub(crate) fn pad(low: &[usize], high: &[usize]) -> Op {
    let interior: &[usize] = &vec![0; low.len()];
    let margins =
        [("low", Attr::from(low)), ("high", high.into()), ("interior", interior.into()), ("value", 0.0.into())];
    pad::PAD.with(Attrs::new(margins))
}

/// `matmul` with either operand transposed.
pub(crate) fn matmul(transpose_a: bool, transpose_b: bool) -> Op {
    matmul::MATMUL.with(Attrs::new([("transpose_a", Attr::from(transpose_a)), ("transpose_b", transpose_b.into())]))
}

/// A reduction over `axes`.
pub(crate) fn reduce(def: &'static OpDef, axes: &[usize]) -> Op {
    def.with(axes_attr(axes))
}

/// The attributes of a reduction over `axes`.
pub(crate) fn axes_attr(axes: &[usize]) -> Attrs {
    Attrs::new([("axes", Attr::from(axes))])
}

/// The axes of `0..rank` that are not among `axes`.
pub(crate) fn other_axes(axes: &[usize], rank: usize) -> Vec<usize> {
    (0..rank).filter(|axis| !axes.contains(axis)).collect()
}

/// The axes of two shapes with as many elements, in blocks that hold the same elements: a reshape makes the axes of one list
/// into those of the other. None where there is no element.
pub(crate) fn reshape_blocks(from: &[usize], to: &[usize]) -> Option<Vec<(Vec<usize>, Vec<usize>)>> {
    let mut blocks = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < from.len() || j < to.len() {
        let (mut own, mut other) = (Vec::new(), Vec::new());
        let (mut a, mut b) = (1, 1);
        // At least one axis of each, where there is one; then of that which is behind.
        while own.is_empty() && other.is_empty() || a != b {
            if i < from.len() && (a <= b && own.is_empty() || a < b || j == to.len()) {
                a *= from[i];
                own.push(i);
                i += 1;
            } else if j < to.len() {
                b *= to[j];
                other.push(j);
                j += 1;
            } else {
                return None;
            }
            if a == 0 || b == 0 {
                return None;
            }
            if other.is_empty() && j < to.len() && a != 1 && to[j] == a {
                b = to[j];
                other.push(j);
                j += 1;
            }
        }
        blocks.push((own, other));
    }
    Some(blocks)
}

#[cfg(test)]
mod tests {
    use super::reshape_blocks;

    #[test]
    fn blocks_of_reshapes() {
        let blocks = |from: &[usize], to: &[usize]| reshape_blocks(from, to).expect("there are elements");
        assert_eq!(blocks(&[3, 4], &[3, 2, 2]), [(vec![0], vec![0]), (vec![1], vec![1, 2])]);
        assert_eq!(blocks(&[3, 2, 2], &[3, 4]), [(vec![0], vec![0]), (vec![1, 2], vec![1])]);
        assert_eq!(blocks(&[2, 6], &[4, 3]), [(vec![0, 1], vec![0, 1])]);
        assert_eq!(reshape_blocks(&[0, 2], &[0]), None);
        for (from, to) in
            [(&[3, 1, 4][..], &[3, 4][..]), (&[12], &[1, 3, 4, 1]), (&[1], &[1, 1]), (&[5, 1], &[5]), (&[], &[1])]
        {
            let blocks = blocks(from, to);
            let size = |axes: &[usize], shape: &[usize]| axes.iter().map(|&axis| shape[axis]).product::<usize>();
            assert!(blocks.iter().all(|(own, other)| size(own, from) == size(other, to)), "{blocks:?}");
            assert_eq!(
                blocks.iter().flat_map(|(own, _)| own).copied().collect::<Vec<_>>(),
                (0..from.len()).collect::<Vec<_>>()
            );
            assert_eq!(
                blocks.iter().flat_map(|(_, other)| other).copied().collect::<Vec<_>>(),
                (0..to.len()).collect::<Vec<_>>()
            );
        }
    }
}
