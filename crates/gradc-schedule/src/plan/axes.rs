//! Positions of a matrix in memory: rows, columns and batches are nested axes.

use std::ops::Deref;

/// Steps through memory, equally wide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Axis {
    /// How many positions there are.
    pub extent: usize,
    /// From one to the next, in elements.
    pub stride: usize,
}

/// Where the rows of a matrix are, or its columns, or the matrices of a batch: a few axes, one within another, of which the last
/// one is the fastest. A plain matrix has one for its rows and one for its columns. The windows of a batch of images have one
/// for the images, one for the lines of each, and one for the windows of a line.
///
/// They are as few as can be: no extent is 1, and no axis could be one with that around it. So a single position has none, and
/// equal functions are equal values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Axes {
    count: usize,
    axes: [Axis; Axes::MOST],
}

impl Axes {
    /// The most axes: the windows of a batch of volumes have so many.
    pub const MOST: usize = 4;

    /// These axes, outermost first, if they are not too many.
    pub fn new(axes: impl IntoIterator<Item = Axis>) -> Option<Axes> {
        let mut merged = Axes::default();
        for axis in axes {
            merged.push(axis)?;
        }
        Some(merged)
    }

    /// One axis.
    pub fn one(extent: usize, stride: usize) -> Axes {
        let mut axes = Axes::default();
        if extent != 1 {
            (axes.axes[0], axes.count) = (Axis { extent, stride }, 1);
        }
        axes
    }

    fn push(&mut self, axis: Axis) -> Option<()> {
        match self.axes[..self.count].last_mut() {
            _ if axis.extent == 1 => {}
            Some(last) if last.stride == axis.extent.checked_mul(axis.stride)? => {
                *last = Axis { extent: last.extent.checked_mul(axis.extent)?, stride: axis.stride };
            }
            _ => {
                *self.axes.get_mut(self.count)? = axis;
                self.count += 1;
            }
        }
        Some(())
    }

    /// How many positions there are; `None` where that is no number.
    pub fn extent(&self) -> Option<usize> {
        self.iter().try_fold(1usize, |product, axis| product.checked_mul(axis.extent))
    }

    /// From position to position, where that is the same everywhere: 1 for a single position, from which there is no other.
    pub fn stride(&self) -> Option<usize> {
        match **self {
            [] => Some(1),
            [Axis { stride, .. }] => Some(stride),
            _ => None,
        }
    }

    /// The element at a position, from the first one on.
    pub fn at(&self, position: usize) -> usize {
        let step =
            |(rest, sum): (usize, usize), axis: &Axis| (rest / axis.extent, sum + rest % axis.extent * axis.stride);
        self.iter().rev().fold((position, 0), step).1
    }

    /// The element at the last position, which is the furthest one; `None` where that is no number, or where there is none.
    pub fn furthest(&self) -> Option<usize> {
        self.iter().try_fold(0usize, |sum, axis| sum.checked_add(axis.extent.checked_sub(1)?.checked_mul(axis.stride)?))
    }

    /// These axes in so many equal parts, one after the other: where each part begins, and the positions of one. `None` where no
    /// part ends between the axes.
    pub fn split(&self, parts: usize) -> Option<(Axes, Axes)> {
        let (mut outer, mut inner, mut rest) = (Axes::default(), Axes::default(), parts);
        for &Axis { extent, stride } in self.iter() {
            if extent <= rest && rest.is_multiple_of(extent) {
                outer.push(Axis { extent, stride })?;
                rest /= extent;
            } else if extent.is_multiple_of(rest) {
                outer.push(Axis { extent: rest, stride: extent / rest * stride })?;
                inner.push(Axis { extent: extent / rest, stride })?;
                rest = 1;
            } else {
                return None;
            }
        }
        (rest == 1).then_some((outer, inner))
    }
}

impl Deref for Axes {
    type Target = [Axis];

    fn deref(&self) -> &[Axis] {
        &self.axes[..self.count]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axes(axes: &[(usize, usize)]) -> Axes {
        Axes::new(axes.iter().map(|&(extent, stride)| Axis { extent, stride })).expect("they are few")
    }

    #[test]
    fn axes_that_follow_one_another_are_one() {
        assert_eq!(axes(&[(2, 12), (3, 4), (1, 9), (4, 1)]), Axes::one(24, 1));
        assert_eq!(axes(&[(1, 5)]), Axes::default());
        assert_eq!(axes(&[(2, 0), (3, 0)]), Axes::one(6, 0));
        assert_eq!(axes(&[(2, 10), (3, 1)]).len(), 2);
    }

    #[test]
    fn positions_are_those_of_nested_loops() {
        let windows = axes(&[(2, 100), (3, 20), (4, 2)]);
        let mut position = 0;
        for (image, (line, column)) in (0..2).flat_map(|image| (0..12).map(move |at| (image, (at / 4, at % 4)))) {
            assert_eq!(windows.at(position), image * 100 + line * 20 + column * 2);
            position += 1;
        }
        assert_eq!(windows.extent(), Some(position));
        assert_eq!(windows.furthest(), Some(windows.at(position - 1)));
    }

    #[test]
    fn parts_begin_where_the_ones_before_end() {
        let windows = axes(&[(6, 100), (4, 20), (3, 2)]);
        for parts in [1, 2, 3, 6, 12, 24, 72] {
            let (starts, part) = windows.split(parts).expect("parts are equal");
            let count = 72 / parts;
            for position in 0..72 {
                assert_eq!(windows.at(position), starts.at(position / count) + part.at(position % count), "{parts}");
            }
        }
        assert_eq!(windows.split(4), None);
        assert_eq!(windows.split(5), None);
    }
}
