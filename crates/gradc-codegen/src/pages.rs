//! Memory from the operating system, in large pages where it has them.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

use memmap2::MmapMut;

/// The bytes of a large page. From so many on, memory is asked for page by page; less of it has few pages of any size.
const LARGE_PAGE: usize = 2 << 20;

/// Memory of a fixed size, zero at first.
///
/// Products walk through matrices in all directions, and with pages of four kilobytes the processor forgets where these are
/// faster than it needs them again. So large memory is a mapping of its own that begins at a multiple of [`LARGE_PAGE`], for which
/// the operating system is asked to use pages of that size. It may do so or not.
pub(crate) struct Pages {
    start: NonNull<u8>,
    bytes: usize,
    owner: Owner,
}

/// What the memory goes back to.
enum Owner {
    Allocator(Layout),
    Mapping { _memory: MmapMut },
}

impl Pages {
    /// So many bytes, aligned to a power of two that is no more than a page; `None` where there are not as many.
    pub(crate) fn new(bytes: usize, alignment: usize) -> Option<Pages> {
        if bytes >= LARGE_PAGE {
            return Pages::mapped(bytes);
        }
        let layout = Layout::from_size_align(bytes.max(1), alignment).ok()?;
        // SAFETY: the layout's size is not 0.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        Some(Pages { start, bytes, owner: Owner::Allocator(layout) })
    }

    /// A mapping. What it has beyond what is asked for is never touched, so that it takes no memory.
    fn mapped(bytes: usize) -> Option<Pages> {
        let mut memory = MmapMut::map_anon(bytes.checked_add(LARGE_PAGE)?).ok()?;
        // Without large pages everything works, only slower.
        #[cfg(target_os = "linux")]
        let _ = memory.advise(memmap2::Advice::HugePage);
        let start = memory.as_mut_ptr();
        let start = NonNull::new(start.wrapping_add(start.align_offset(LARGE_PAGE)))?;
        Some(Pages { start, bytes, owner: Owner::Mapping { _memory: memory } })
    }

    /// Where it begins.
    pub(crate) fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// How much it is.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        match self.owner {
            // SAFETY: the memory was allocated with this layout, and is freed once.
            Owner::Allocator(layout) => unsafe { dealloc(self.start.as_ptr(), layout) },
            Owner::Mapping { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LARGE_PAGE, Pages};

    #[test]
    fn memory_is_zero_aligned_and_as_large_as_asked_for() {
        for bytes in [0, 1, 100, LARGE_PAGE - 1, LARGE_PAGE, 3 * LARGE_PAGE + 1] {
            let pages = Pages::new(bytes, 64).expect("there is memory");
            assert_eq!(pages.bytes(), bytes);
            assert_eq!(pages.start().align_offset(if bytes < LARGE_PAGE { 64 } else { LARGE_PAGE }), 0);
            // SAFETY: it is as large as it says, and initialised.
            let memory = unsafe { std::slice::from_raw_parts_mut(pages.start(), pages.bytes()) };
            assert!(memory.iter().all(|&byte| byte == 0));
            memory.fill(1);
        }
    }

    #[test]
    fn more_than_there_is_is_refused() {
        assert!(Pages::new(usize::MAX, 64).is_none());
        assert!(Pages::new(usize::MAX / 2, 64).is_none());
    }
}
