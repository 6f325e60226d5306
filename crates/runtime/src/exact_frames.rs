//! Which instance a frame in shared code runs for. Nothing is recorded for that: the frame's caller says it, whose instruction calls the
//! method with type arguments that are known if the caller's are. So the search goes outwards to a frame whose code is not shared, and ends without
//! an answer where native code, a delegate or a class initialiser lies between.

use crate::runtime;
use crate::stack_trace::TracedFrame;
use il::instruction::{ControlFlow, Decoder, Opcode, Operand};
use il::types::{MethodId, TypeId, TypeKind};

/// Frames that one search looks at.
const SEARCH_LIMIT: u32 = 100;

/// The exact method of a frame. `callers` are the frames outwards from it; `None` stands for native code.
pub fn exact_method(method: MethodId, callers: impl Iterator<Item = Option<TracedFrame>>) -> Option<MethodId> {
    let mut frames = vec![(method, 0)];
    let mut callers = callers.take(SEARCH_LIMIT as usize);
    while frames.last().is_some_and(|&(method, _)| runtime().types.is_shared(method)) {
        let caller = callers.next()??;
        frames.push((caller.method, caller.il_offset?));
    }
    let (mut exact, mut offset) = frames.pop()?;
    while let Some((shared, own_offset)) = frames.pop() {
        exact = called_instance(called_method(exact, offset)?, shared)?;
        offset = own_offset;
    }
    Some(exact)
}

/// The exact methods of frames that follow each other outwards, each where it is known.
pub fn exact_methods(frames: &[TracedFrame]) -> Vec<Option<MethodId>> {
    let mut exact = vec![None; frames.len()];
    let mut caller = None;
    for (index, frame) in frames.iter().enumerate().rev() {
        exact[index] = match runtime().types.is_shared(frame.method) {
            false => Some(frame.method),
            true => caller.and_then(|(method, offset)| called_instance(called_method(method, offset)?, frame.method)),
        };
        caller = exact[index].zip(frame.il_offset);
    }
    exact
}

/// The method that is called from a position in a method's IL. Positions are where the evaluation stack is empty, where blocks begin and behind
/// calls, so the first call from there on is the one that belongs to it.
fn called_method(caller: MethodId, offset: u32) -> Option<MethodId> {
    let types = &runtime().types;
    let body = types.method_body(caller).ok()??;
    let mut instructions = Decoder::at(body.il, offset).map_while(Result::ok);
    let ends = |opcode: Opcode| matches!(opcode.info().flow, ControlFlow::Branch | ControlFlow::Return | ControlFlow::Throw);
    let is_call = |opcode: Opcode| opcode.info().flow == ControlFlow::Call;
    let call = instructions.find(|instruction| is_call(instruction.opcode) || ends(instruction.opcode))?;
    match (call.opcode, call.operand) {
        (Opcode::Call | Opcode::Callvirt | Opcode::Newobj, Operand::Token(token)) => {
            types.resolve_method(types.method(caller).assembly, token, &types.method_context(caller)).ok()
        }
        _ => None,
    }
}

/// The instance of a shared method that runs when `called` is called: that itself, or what overrides or implements it.
fn called_instance(called: MethodId, shared: MethodId) -> Option<MethodId> {
    /// `GenericParameterAttributes.VarianceMask`
    const VARIANCE: u16 = 3;
    let types = &runtime().types;
    let definition = types.generic_definition(shared);
    // What implements a variant interface may do so with other arguments.
    let base = types.generic_definition_type(types.method(called).owner);
    if types.generic_params(base).ok()?.iter().any(|flags| flags & VARIANCE != 0) {
        return None;
    }
    let exact = if types.generic_definition(called) == definition {
        called
    } else {
        let owner = implementing_type(types.method(called).owner, types.method(shared).owner)?;
        types.instantiate_method(definition, owner, &types.method(called).method_args)
    };
    (types.canonical_method(exact) == shared && !types.is_shared(exact)).then_some(exact)
}

/// The instance of the class `shared` that derives from `base` or implements it, if that determines all its arguments.
fn implementing_type(base: TypeId, shared: TypeId) -> Option<TypeId> {
    let types = &runtime().types;
    let TypeKind::Instance { definition, args } = types.kind(shared) else { return Some(shared) };
    let wanted = types.generic_definition_type(base);
    let mut found: Vec<Option<TypeId>> = args.iter().map(|&arg| Some(arg).filter(|&arg| !types.contains_canon(arg))).collect();
    let is_wanted = |&ty: &TypeId| types.generic_definition_type(ty) == wanted;
    let parents = std::iter::successors(types.header(*definition).ok()?.parent, |&class| types.header(class).ok()?.parent);
    let interfaces = types.interfaces(*definition).ok()?.iter().copied();
    let pattern = parents.chain(interfaces).find(is_wanted)?;
    collect_arguments(pattern, base, &mut found);
    let args: Vec<TypeId> = found.into_iter().collect::<Option<_>>()?;
    Some(types.instance(*definition, &args))
}

/// Notes what the type variables in `pattern` are in `ty`.
fn collect_arguments(pattern: TypeId, ty: TypeId, found: &mut [Option<TypeId>]) {
    let types = &runtime().types;
    match (types.kind(pattern), types.kind(ty)) {
        (TypeKind::Var(position), _) => {
            if let Some(place) = found.get_mut(*position as usize) {
                place.get_or_insert(ty);
            }
        }
        (TypeKind::Instance { args: patterns, .. }, TypeKind::Instance { args, .. }) => {
            for (&pattern, &arg) in patterns.iter().zip(args.iter()) {
                collect_arguments(pattern, arg, found);
            }
        }
        (TypeKind::SzArray(pattern), TypeKind::SzArray(element))
        | (TypeKind::Array { element: pattern, .. }, TypeKind::Array { element, .. }) => {
            collect_arguments(*pattern, *element, found)
        }
        _ => {}
    }
}
