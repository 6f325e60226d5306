//! The collector with a hand-made class: what is reachable survives with its content, on every host.

use compiler::abi::{Abi, method_table_flags};
use runtime::gc::{self, AllocationKind, AllocationWindow, GcOptions, ReferenceMap, ThreadHeap};

const ABI: Abi = Abi { pointer_bytes: size_of::<usize>() as u32 };
/// Place of the one reference of a node, and of its number.
const NEXT: usize = 2 * size_of::<usize>();
const NUMBER: usize = NEXT + size_of::<usize>();
const NODE_BYTES: usize = NUMBER + size_of::<usize>();

/// A method table of nodes, without what only compiled code looks at.
fn node_class() -> *const u8 {
    let words = ABI.method_table_slots() as usize / size_of::<u64>() + 1;
    let table = Vec::leak(vec![0u64; words]).as_mut_ptr().cast::<u8>();
    let map = Box::leak(Box::new(ReferenceMap { instance: Box::new([NEXT as u32]), element: Box::new([]), weak: Box::new([]) }));
    let at = |offset: i32| table.wrapping_add(offset as usize);
    // SAFETY: the fields lie in the table, aligned.
    unsafe {
        at(ABI.method_table_base_size()).cast::<u32>().write(NODE_BYTES as u32);
        at(ABI.method_table_flags()).cast::<u32>().write(method_table_flags::HAS_REFERENCES);
        at(ABI.method_table_reference_map()).cast::<*const ReferenceMap>().write(map);
    }
    table
}

fn new_node(heap: &mut ThreadHeap, class: *const u8, next: *mut u8, number: usize) -> *mut u8 {
    let node = gc::allocate(heap, NODE_BYTES, AllocationKind::Default).expect("there is memory");
    // SAFETY: fresh memory of a node's size.
    unsafe {
        node.cast::<*const u8>().write(class);
        node.add(NEXT).cast::<*mut u8>().write(next);
        node.add(NUMBER).cast::<usize>().write(number);
    }
    node
}

/// Sum of the numbers of a list, and its length.
fn sum(mut node: *mut u8) -> (usize, usize) {
    let (mut sum, mut length) = (0usize, 0);
    while !node.is_null() {
        // SAFETY: a live node.
        unsafe {
            sum = sum.wrapping_add(node.add(NUMBER).cast::<usize>().read());
            node = node.add(NEXT).cast::<*mut u8>().read();
        }
        length += 1;
    }
    (sum, length)
}

#[test]
fn reachable_objects_survive_collections() {
    const NODES: usize = 1_000_000;
    const KEPT_EVERY: usize = 10;
    let base = 0usize;
    gc::initialize(&GcOptions { minimum_heap: 16 << 20, maximum_heap: 128 << 20, nursery: None, threads: 2 });
    let window = Box::leak(Box::<AllocationWindow>::default());
    // SAFETY: the window is never freed, and this frame is the highest that holds references.
    let heap = unsafe { gc::attach(window, std::ptr::from_ref(&base) as usize) };
    let class = node_class();
    let root = Vec::leak(vec![0usize; 1]).as_mut_ptr();
    // SAFETY: the slot is never freed and holds nothing but a node or null.
    unsafe { gc::add_root_range(root, 1) };
    let mut expected = 0usize;
    for number in 0..NODES {
        // SAFETY: as above.
        let head = unsafe { root.read() } as *mut u8;
        let node = new_node(heap, class, head, number);
        if number % KEPT_EVERY == 0 {
            expected = expected.wrapping_add(number);
            // SAFETY: as above.
            unsafe { root.write(node as usize) };
        }
    }
    for full in [false, true, false, true] {
        gc::collect(heap, full);
        // A young node that only an old one refers to.
        // SAFETY: the root is an old node by now.
        unsafe {
            let head = root.read() as *mut u8;
            let next = head.add(NEXT).cast::<*mut u8>();
            let node = new_node(heap, class, next.read(), 1);
            let head = root.read() as *mut u8;
            head.add(NEXT).cast::<*mut u8>().write(node);
            gc::write_barrier(heap, head);
        }
        expected = expected.wrapping_add(1);
    }
    gc::collect(heap, false);
    // SAFETY: as above.
    let (found, length) = sum(unsafe { root.read() } as *mut u8);
    assert_eq!((found, length), (expected, NODES / KEPT_EVERY + 4));
    assert!(gc::collection_counts().iter().sum::<usize>() >= 5);
    assert!(gc::used_bytes() < 64 << 20, "{} bytes are in use", gc::used_bytes());

    // Addresses within objects find them; others do not.
    // SAFETY: as above.
    let head = unsafe { root.read() };
    assert_eq!(gc::find_object(heap, head + NUMBER), Some(head as *mut u8));
    assert_eq!(gc::find_object(heap, std::ptr::from_ref(&base) as usize), None);
}
