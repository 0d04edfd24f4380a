//! Products along nested axes, held against their definition.

use super::*;

/// Numbers that look random.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// Extents of nested axes, outermost first.
type Extents = Vec<usize>;

fn count(extents: &[usize]) -> usize {
    extents.iter().product()
}

fn nested(extents: &[usize], strides: &[usize]) -> Axes {
    let axes = extents.iter().zip(strides).map(|(&extent, &stride)| Axis { extent, stride });
    Axes::nested(&axes.collect::<Vec<_>>()).expect("they are few")
}

/// Where a position along nested axes is, by definition.
fn at(extents: &[usize], strides: &[usize], position: usize) -> usize {
    let mut rest = position;
    extents.iter().zip(strides).rev().fold(0, |sum, (&extent, &stride)| {
        let index = rest % extent;
        rest /= extent;
        sum + index * stride
    })
}

/// A matrix: extents and strides of batches, rows and columns.
#[derive(Clone, Debug)]
struct Layout {
    axes: [(Extents, Vec<usize>); 3],
}

impl Layout {
    /// Strides for these axes: of axes in a random order in memory, with gaps, so that none overlap; or any.
    fn new(axes: [&Extents; 3], apart: bool, numbers: &mut Numbers) -> Layout {
        let mut layout = Layout { axes: axes.map(|extents| (extents.clone(), vec![0; extents.len()])) };
        let mut order: Vec<(usize, usize)> =
            (0..3).flat_map(|kind| (0..axes[kind].len()).map(move |axis| (kind, axis))).collect();
        let mut stride = 1;
        while !order.is_empty() {
            let (kind, axis) = order.swap_remove(numbers.below(order.len()));
            layout.axes[kind].1[axis] = if apart { stride } else { numbers.below(40) };
            stride = stride * axes[kind][axis] + numbers.one_of(&[0, 0, 1, 3]);
        }
        layout
    }

    fn at(&self, positions: [usize; 3]) -> usize {
        self.axes.iter().zip(positions).map(|((extents, strides), position)| at(extents, strides, position)).sum()
    }

    fn elements(&self) -> usize {
        self.at([0, 1, 2].map(|kind| count(&self.axes[kind].0) - 1)) + 1
    }

    fn strides(&self) -> Strides {
        let [batch, row, column] = [0, 1, 2].map(|kind| nested(&self.axes[kind].0, &self.axes[kind].1));
        Strides { row, column, batch }
    }
}

/// A product, and what its matrices are.
#[derive(Debug)]
struct Case {
    matmul: Matmul,
    layouts: [Layout; 3],
}

/// Extents and layouts at random: C of one axis each, or of several that may overlap.
fn case(numbers: &mut Numbers, scattered: bool) -> Case {
    let mut extents = |most: usize, larger: &[usize]| -> Extents {
        let axes = 1 + numbers.below(most);
        (0..axes).map(|axis| if axis + 1 == axes { numbers.one_of(larger) } else { 1 + numbers.below(4) }).collect()
    };
    let batch = extents(2, &[1, 2, 3]);
    let m = extents(3, &[1, 2, 5, 8, 17]);
    let n = extents(3, &[1, 3, 7, 16, 33, 70]);
    let k = extents(4, &[1, 4, 5, 9, 40]);
    let flat = |extents: &Extents| vec![count(extents)];
    // An operand may have one axis of a kind where the other one has several.
    let mut either = |extents: &Extents| if numbers.below(2) == 0 { extents.clone() } else { flat(extents) };
    let (a_rows, a_depth, b_depth, b_columns) = (either(&m), either(&k), either(&k), either(&n));
    let (c_rows, c_columns) = if scattered { (m.clone(), n.clone()) } else { (flat(&m), flat(&n)) };
    let a = Layout::new([&batch, &a_rows, &a_depth], numbers.below(2) == 0, numbers);
    let b = Layout::new([&batch, &b_depth, &b_columns], numbers.below(2) == 0, numbers);
    let is_plain = c_rows.len() == 1 && c_columns.len() == 1;
    let c = Layout::new([&batch, &c_rows, &c_columns], is_plain || numbers.below(2) == 0, numbers);
    let matmul = Matmul {
        batch: count(&batch),
        m: count(&m),
        n: count(&n),
        k: count(&k),
        a: a.strides(),
        b: b.strides(),
        c: c.strides(),
        accumulate: !is_plain || numbers.below(2) == 0,
        scale: numbers.one_of(&[1.0, -0.5]),
        packed: false,
    };
    Case { matmul, layouts: [a, b, c] }
}

/// By definition.
fn reference<T: Element>(Case { matmul, layouts: [a, b, c] }: &Case, operands: [&[T]; 2], result: &mut [T]) {
    let scale = T::of(matmul.scale);
    for batch in 0..matmul.batch {
        for (row, column) in (0..matmul.m).flat_map(|row| (0..matmul.n).map(move |column| (row, column))) {
            let sum = (0..matmul.k).fold(T::ZERO, |sum, depth| {
                let (a, b) = (operands[0][a.at([batch, row, depth])], operands[1][b.at([batch, depth, column])]);
                a.multiply_add::<false>(b, sum)
            });
            let element = &mut result[c.at([batch, row, column])];
            *element = sum.times(scale).plus(if matmul.accumulate { *element } else { T::ZERO });
        }
    }
}

/// With each instruction set that this machine has, as a whole and in parts.
fn multiply<T: Element + From<f32> + PartialEq>(
    matmul: &Matmul,
    parts: usize,
    [a, b, c]: [&[T]; 3],
) -> Vec<(&'static str, Vec<T>)> {
    let parts =
        if parts == 1 { vec![MatmulPart::whole(matmul)] } else { super::tests::parts(matmul, size_of::<T>(), parts) };
    let available = T::kernels().iter().filter(|kernels| (kernels.available)());
    let product = |kernels: &'static Kernels<T>| {
        let mut found = c.to_vec();
        for part in parts.iter().rev() {
            let elements = part.scratch_bytes(size_of::<T>()) / size_of::<T>();
            let mut scratch = vec![T::from(f32::NAN); elements];
            scratch.push(T::from(99.0));
            // SAFETY: the matrices are as large as their axes say, and apart; this machine has the instructions.
            unsafe {
                run(kernels, part, T::ONE, a.as_ptr(), b.as_ptr(), found.as_mut_ptr(), scratch.as_mut_ptr());
            }
            assert!(scratch[elements] == T::from(99.0), "{}: {part:?} needs more scratch memory", kernels.name);
        }
        (kernels.name, found)
    };
    available.map(product).collect()
}

/// Small whole numbers, of which no sum rounds.
fn whole<T: Element>(elements: usize, numbers: &mut Numbers) -> Vec<T> {
    (0..elements).map(|_| T::of(numbers.below(23) as f64 - 11.0)).collect()
}

fn check<T: Element + From<f32> + PartialEq + std::fmt::Debug>(case: &Case, numbers: &mut Numbers) {
    let [a, b, c]: [Vec<T>; 3] = [0, 1, 2].map(|at| whole(case.layouts[at].elements(), numbers));
    let mut expected = c.clone();
    reference(case, [&a, &b], &mut expected);
    for parts in [1, 3] {
        for (name, found) in multiply(&case.matmul, parts, [&a, &b, &c]) {
            assert!(found == expected, "{name}, {parts} parts: {case:?}");
        }
    }
}

#[test]
fn products_along_any_axes() {
    let mut numbers = Numbers(1);
    for round in 0..200 {
        let case = case(&mut numbers, round % 2 == 1);
        check::<f32>(&case, &mut numbers);
        check::<f64>(&case, &mut numbers);
    }
}

/// The layouts of a convolution: images, lines, columns and channels; windows, their stride and dilation; filters.
struct Convolution {
    images: usize,
    side: usize,
    channels: usize,
    size: usize,
    filters: usize,
    stride: usize,
    dilation: usize,
}

impl Convolution {
    fn places(&self) -> usize {
        (self.side - self.dilation * (self.size - 1) - 1) / self.stride + 1
    }

    /// The windows as rows, and their elements as columns.
    fn windows(&self) -> (Extents, Vec<usize>, Extents, Vec<usize>) {
        let Convolution { images, side, channels, size, stride, dilation, .. } = *self;
        let (places, line) = (self.places(), side * channels);
        (
            vec![images, places, places],
            vec![side * line, stride * line, stride * channels],
            vec![size, size, channels],
            vec![dilation * line, dilation * channels, 1],
        )
    }

    /// The products of a convolution, of the gradient of its filters, and of that of the images.
    fn cases(&self) -> [Case; 3] {
        let (rows, row_strides, columns, column_strides) = self.windows();
        let (m, k, n) = (count(&rows), count(&columns), self.filters);
        let one = || (vec![1], vec![0]);
        let windows = || [one(), (rows.clone(), row_strides.clone()), (columns.clone(), column_strides.clone())];
        let plain = |rows: usize, columns: usize, transposed: bool| {
            let axes = [(vec![rows], vec![columns]), (vec![columns], vec![1])];
            let [rows, columns] = axes;
            Layout { axes: if transposed { [one(), columns, rows] } else { [one(), rows, columns] } }
        };
        let case = |[m, n, k]: [usize; 3], a: Layout, b: Layout, c: Layout, accumulate: bool| {
            let (sa, sb, sc) = (a.strides(), b.strides(), c.strides());
            let matmul = Matmul { batch: 1, m, n, k, a: sa, b: sb, c: sc, accumulate, scale: 1.0, packed: false };
            Case { matmul, layouts: [a, b, c] }
        };
        let of_windows = || Layout { axes: windows() };
        let turned = || {
            let [batch, rows, columns] = windows();
            Layout { axes: [batch, columns, rows] }
        };
        [
            case([m, n, k], of_windows(), plain(k, n, false), plain(m, n, false), false),
            case([k, n, m], turned(), plain(m, n, false), plain(k, n, false), false),
            case([m, k, n], plain(m, n, false), plain(k, n, true), of_windows(), true),
        ]
    }
}

#[test]
fn convolutions_and_their_gradients() {
    let mut numbers = Numbers(2);
    for (images, side, channels, size, filters, stride, dilation) in [
        (3, 12, 8, 5, 16, 1, 1),
        (2, 28, 1, 5, 8, 1, 1),
        (2, 9, 3, 3, 5, 2, 1),
        (1, 11, 4, 3, 33, 1, 2),
        (4, 7, 2, 1, 3, 1, 1),
        (2, 17, 16, 3, 70, 2, 3),
        (5, 5, 7, 5, 1, 1, 1),
    ] {
        let convolution = Convolution { images, side, channels, size, filters, stride, dilation };
        for case in convolution.cases() {
            check::<f32>(&case, &mut numbers);
            check::<f64>(&case, &mut numbers);
        }
    }
}

/// Sums that round, in the same way in parts as in one.
#[test]
fn parts_have_the_bits_of_the_whole() {
    let mut numbers = Numbers(3);
    let convolution = Convolution { images: 6, side: 12, channels: 8, size: 5, filters: 16, stride: 1, dilation: 1 };
    let random = (0..60).map(|round| case(&mut Numbers(100 + round), round % 2 == 1));
    for case in convolution.cases().into_iter().chain(random) {
        let [a, b, c]: [Vec<f32>; 3] = [0, 1, 2].map(|at| {
            (0..case.layouts[at].elements()).map(|_| numbers.below(1 << 20) as f32 / (1 << 19) as f32 - 1.0).collect()
        });
        let bits = |found: Vec<(&'static str, Vec<f32>)>| -> Vec<Vec<u32>> {
            found.into_iter().map(|(_, found)| found.into_iter().map(f32::to_bits).collect()).collect()
        };
        let expected = bits(multiply(&case.matmul, 1, [&a, &b, &c]));
        for parts in [2, 3, 7] {
            assert!(bits(multiply(&case.matmul, parts, [&a, &b, &c])) == expected, "{parts} parts: {case:?}");
        }
    }
}

#[test]
fn windows_are_cut_where_images_begin() {
    let convolution = Convolution { images: 4, side: 12, channels: 8, size: 5, filters: 16, stride: 1, dilation: 1 };
    let [.., gradient] = convolution.cases();
    let starts: Vec<usize> = super::tests::parts(&gradient.matmul, 4, 2).iter().map(|part| part.rows.start).collect();
    assert_eq!(starts, [0, 2 * 64]);
    // One image is one part: its windows overlap.
    let [.., gradient] = Convolution { images: 1, ..convolution }.cases();
    assert_eq!(super::tests::parts(&gradient.matmul, 4, 2).len(), 1);
}

/// The last block of rows has fewer than the others, but more than half of them.
#[test]
fn blocks_of_rows_need_no_more_scratch_memory_than_the_first() {
    let (m, n, k) = (444 + 252, 72, 512);
    let none = || (vec![1], vec![0]);
    let a = Layout { axes: [none(), (vec![m], vec![2 * k]), (vec![k], vec![2])] };
    let b = Layout { axes: [none(), (vec![k], vec![n]), (vec![n], vec![1])] };
    let c = Layout { axes: [none(), (vec![29, 24], vec![200, 8]), (vec![3, 24], vec![200, 1])] };
    let (sa, sb, sc) = (a.strides(), b.strides(), c.strides());
    let matmul = Matmul { batch: 1, m, n, k, a: sa, b: sb, c: sc, accumulate: true, scale: 1.0, packed: false };
    check::<f32>(&Case { matmul, layouts: [a, b, c] }, &mut Numbers(4));
}

#[test]
fn products_without_rows_have_no_parts_that_do_anything() {
    let axes = |axes: &[(usize, usize)]| {
        let (extents, strides): (Extents, Vec<usize>) = axes.iter().copied().unzip();
        nested(&extents, &strides)
    };
    let c = Strides { row: axes(&[(0, 5), (3, 1)]), column: axes(&[(4, 1)]), batch: axes(&[(1, 0)]) };
    let a = Strides::plain(1, 1, 0);
    let matmul = Matmul { batch: 1, m: 0, n: 4, k: 2, a, b: a, c, accumulate: true, scale: 1.0, packed: false };
    assert!(super::tests::parts(&matmul, 4, 3).iter().all(|part| part.scratch_bytes(4) == 0));
}
