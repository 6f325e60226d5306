//! Loop depths of machine blocks.

use crate::mach::vcode::{MachInst, VCode};

/// Sets each block's loop depth. Loops are found by their back edges in a depth-first walk; a block belongs to the loops of
/// all headers whose back edges it reaches. The depth is capped, since weights need no more.
pub fn compute_loop_depths<I: MachInst>(code: &mut VCode<I>) {
    const MAX_DEPTH: u32 = 5;
    let count = code.blocks.len();
    // 0 not seen, 1 on the stack, 2 done
    let mut state = vec![0u8; count];
    let mut back_edges: Vec<(u32, u32)> = Vec::new();
    let mut stack: Vec<(u32, usize)> = Vec::new();
    for root in 0..count as u32 {
        if state[root as usize] != 0 || !(root == 0 || code.blocks[root as usize].predecessors.is_empty()) {
            continue;
        }
        state[root as usize] = 1;
        stack.push((root, 0));
        while let Some((block, next)) = stack.last_mut() {
            let from = *block;
            let Some(edge) = code.blocks[from as usize].successors.get(*next) else {
                state[from as usize] = 2;
                stack.pop();
                continue;
            };
            *next += 1;
            let target = edge.block.0;
            match state[target as usize] {
                0 => {
                    state[target as usize] = 1;
                    stack.push((target, 0));
                }
                1 => back_edges.push((target, from)),
                _ => {}
            }
        }
    }
    for block in &mut code.blocks {
        block.loop_depth = 0;
    }
    back_edges.sort_unstable();
    let mut mark = vec![u32::MAX; count];
    let mut worklist: Vec<u32> = Vec::new();
    for (index, &(header, latch)) in back_edges.iter().enumerate() {
        if index == 0 || back_edges[index - 1].0 != header {
            mark[header as usize] = header;
            code.blocks[header as usize].loop_depth += 1;
        }
        worklist.push(latch);
        while let Some(block) = worklist.pop() {
            if std::mem::replace(&mut mark[block as usize], header) == header {
                continue;
            }
            code.blocks[block as usize].loop_depth += 1;
            worklist.extend(code.blocks[block as usize].predecessors.iter().map(|block| block.0));
        }
    }
    for block in &mut code.blocks {
        block.loop_depth = block.loop_depth.min(MAX_DEPTH);
    }
}
