//! Positions in memory: rows, columns and batches are nested axes.

/// Steps through memory, equally wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Axis {
    /// How many positions there are.
    pub extent: usize,
    /// From one to the next, in elements.
    pub stride: usize,
}

/// Where rows, columns or batches are: a few axes, one within another, of which the first one here is the fastest.
///
/// Of a plain matrix there is one, and how far it reaches is not asked. The windows of images are at three: windows of a line,
/// lines, images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Axes {
    /// The innermost axis.
    pub inner: Axis,
    /// Those around it, from the next one outwards; the last ones may be of one position.
    pub outer: [Axis; Axes::MOST - 1],
}

impl Axes {
    /// The most axes.
    pub const MOST: usize = 4;

    /// One axis, whatever its extent.
    pub const fn plain(stride: usize) -> Axes {
        Axes { inner: Axis { extent: usize::MAX, stride }, outer: [Axis { extent: 1, stride: 0 }; Axes::MOST - 1] }
    }

    /// These axes, outermost first, if they are not too many. Of a single one the extent is forgotten.
    pub fn nested(axes: &[Axis]) -> Option<Axes> {
        match axes {
            [] => Some(Axes::plain(1)),
            [axis] => Some(Axes::plain(axis.stride)),
            [outer @ .., inner] => {
                let mut nested = Axes { inner: *inner, ..Axes::plain(0) };
                for (at, axis) in outer.iter().rev().enumerate() {
                    *nested.outer.get_mut(at)? = *axis;
                }
                Some(nested)
            }
        }
    }

    /// Whether there is but one.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        self.inner.extent == usize::MAX
    }

    /// Where a position is, in elements from the first one.
    #[inline]
    pub(super) fn at(&self, position: usize) -> usize {
        if position < self.inner.extent {
            return position * self.inner.stride;
        }
        self.walk(position).at
    }

    /// All positions from this one on, in order.
    pub(super) fn walk(&self, position: usize) -> Walk<'_> {
        let mut walk = Walk { axes: self, index: [0; Axes::MOST], at: 0 };
        let mut rest = position;
        for (index, axis) in walk.index.iter_mut().zip(self.all()) {
            *index = rest % axis.extent;
            rest /= axis.extent;
            walk.at += *index * axis.stride;
        }
        walk
    }

    /// All of them, innermost first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Axis> {
        std::iter::once(&self.inner).chain(&self.outer)
    }
}

/// Walks through positions.
pub(super) struct Walk<'a> {
    axes: &'a Axes,
    index: [usize; Axes::MOST],
    /// Where the position is, in elements from the first one.
    pub(super) at: usize,
}

impl Walk<'_> {
    /// Goes to the next position; what comes after the last one is anywhere.
    #[inline]
    pub(super) fn step(&mut self) {
        self.at = self.at.wrapping_add(self.axes.inner.stride);
        self.index[0] += 1;
        if self.index[0] == self.axes.inner.extent {
            self.carry();
        }
    }

    /// How many positions of the innermost axis are left, this one included.
    #[inline]
    pub(super) fn rest(&self) -> usize {
        self.axes.inner.extent - self.index[0]
    }

    /// Goes on by so many positions, no more than there are left of the innermost axis.
    #[inline]
    pub(super) fn skip(&mut self, positions: usize) {
        self.at = self.at.wrapping_add(positions * self.axes.inner.stride);
        self.index[0] += positions;
        if self.index[0] == self.axes.inner.extent {
            self.carry();
        }
    }

    /// Begins the inner axis again, at the next position of the others.
    fn carry(&mut self) {
        let back = |axis: &Axis| axis.extent.wrapping_mul(axis.stride);
        self.index[0] = 0;
        self.at = self.at.wrapping_sub(back(&self.axes.inner));
        for (index, axis) in self.index[1..].iter_mut().zip(&self.axes.outer) {
            self.at = self.at.wrapping_add(axis.stride);
            *index += 1;
            if *index < axis.extent {
                return;
            }
            *index = 0;
            self.at = self.at.wrapping_sub(back(axis));
        }
    }
}
