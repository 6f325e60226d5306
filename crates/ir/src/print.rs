//! The text syntax, written. [`parse`](crate::parse) reads it back to an equal text.
//!
//! ```text
//! function "Program:Add" pointer 8 managed (ref, i32) -> i32 {
//!     ss0 = slot 16 align 8 in_handler
//!     sig0 = managed (ref) -> i32
//!     sym0 = method 12 "Program:Other"
//!     eh0 = region in eh1 catch(0) block5 filter(block6) block7 finally block8
//!     inline0 = sym0 from 64 @9
//!
//! block0(v0: ref, v1: i32):
//!     v2 = load.i32 v0 [u8 +16 no_trap field(3)] @7
//!     v3 = call sym0 sig0 v0
//!     brif v2 block1(v3), block2
//!
//! block1(v4: i32) region eh0 cold:
//!     ...
//! }
//! ```
//!
//! An instruction is: results, opcode, type of the result, what it needs beside values, arguments, then memory access,
//! allocation or branch targets, and `@` with the source offset, of the body at an inline site if one follows. A comment begins with `;`.

use crate::entity::{Block, Inst, Value};
use crate::function::{Function, HandlerKind, RegionData, SymbolRef};
use crate::inline_sites::site_at;
use crate::instruction::{Alias, Allocation, Aux, BlockCall, Memory, MemoryFlags, Opcode, Results, SourceOffset, Window};
use crate::types::Type;
use std::fmt;

/// Names of the flags of a memory access.
pub(crate) const MEMORY_FLAGS: [(MemoryFlags, &str); 4] = [
    (MemoryFlags::NO_TRAP, "no_trap"),
    (MemoryFlags::VOLATILE, "volatile"),
    (MemoryFlags::UNALIGNED, "unaligned"),
    (MemoryFlags::READ_ONLY, "read_only"),
];

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "function {:?} pointer {}", self.name, self.pointer_bytes)?;
        if let Some(signature) = &self.signature {
            write!(f, " {signature}")?;
        }
        f.write_str(" {\n")?;
        for (slot, data) in self.slots.iter() {
            let in_handler = if data.in_handler { " in_handler" } else { "" };
            writeln!(f, "    {slot} = slot {} align {}{in_handler}", data.size, data.align)?;
        }
        for (key, signature) in self.signatures.iter() {
            writeln!(f, "    {key} = {signature}")?;
        }
        for (symbol, data) in self.symbols.iter() {
            writeln!(f, "    {symbol} = {} {:?}", data.target, data.name)?;
        }
        for (region, data) in self.regions.iter() {
            write!(f, "    {region} = region")?;
            print_region(f, data)?;
            f.write_str("\n")?;
        }
        for (number, site) in self.inline_sites.iter().enumerate() {
            writeln!(f, "    inline{number} = {} from {}{}", site.callee, site.first, Position(self, site.call))?;
        }
        for &block in &self.layout {
            f.write_str("\n")?;
            print_block(f, self, block)?;
        }
        f.write_str("}\n")
    }
}

impl fmt::Display for SymbolRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SymbolRef::Method(number) => write!(f, "method {number}"),
            SymbolRef::Helper(number) => write!(f, "helper {number}"),
            SymbolRef::Cell(number) => write!(f, "cell {number}"),
            SymbolRef::RoData(number) => write!(f, "rodata {number}"),
            SymbolRef::Publisher(number) => write!(f, "publisher {number}"),
            SymbolRef::Preserver(number) => write!(f, "preserver {number}"),
            SymbolRef::Resolver(number) => write!(f, "resolver {number}"),
        }
    }
}

fn print_region(f: &mut fmt::Formatter<'_>, region: &RegionData) -> fmt::Result {
    if let Some(parent) = region.parent {
        write!(f, " in {parent}")?;
    }
    for handler in &region.handlers {
        match handler.kind {
            HandlerKind::Catch(clause) => write!(f, " catch({clause})")?,
            HandlerKind::Filter(filter) => write!(f, " filter({filter})")?,
            HandlerKind::Finally => f.write_str(" finally")?,
            HandlerKind::Fault => f.write_str(" fault")?,
        }
        write!(f, " {}", handler.entry)?;
    }
    Ok(())
}

fn print_block(f: &mut fmt::Formatter<'_>, function: &Function, block: Block) -> fmt::Result {
    let data = &function.blocks[block];
    write!(f, "{block}")?;
    for (index, &param) in data.params.iter().enumerate() {
        write!(f, "{}{param}: {}", if index == 0 { "(" } else { ", " }, function.value_type(param))?;
    }
    if !data.params.is_empty() {
        f.write_str(")")?;
    }
    if let Some(region) = data.region {
        write!(f, " region {region}")?;
    }
    f.write_str(if data.cold { " cold:\n" } else { ":\n" })?;
    for &inst in &data.insts {
        writeln!(f, "    {}", function.display_inst(inst))?;
    }
    Ok(())
}

/// An instruction, to be printed as one line.
pub struct DisplayInst<'a> {
    function: &'a Function,
    inst: Inst,
}

impl Function {
    /// The text of one instruction.
    pub fn display_inst(&self, inst: Inst) -> DisplayInst<'_> {
        DisplayInst { function: self, inst }
    }
}

impl fmt::Display for DisplayInst<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let function = self.function;
        let instruction = &function.insts[self.inst];
        let info = instruction.opcode.info();
        for (index, result) in function.results[self.inst].iter().enumerate() {
            write!(f, "{}{result}", if index == 0 { "" } else { ", " })?;
        }
        if !function.results[self.inst].is_empty() {
            f.write_str(" = ")?;
        }
        f.write_str(info.name)?;
        if info.results == Results::One {
            write!(f, ".{}", instruction.ty)?;
        }
        match &instruction.aux {
            Aux::Int(bits) if instruction.opcode == Opcode::Fconst => write!(f, " {bits:#x}")?,
            Aux::Int(value) => write!(f, " {value}")?,
            Aux::IntCompare(compare) => write!(f, " {}", compare.name())?,
            Aux::FloatCompare(compare) => write!(f, " {}", compare.name())?,
            Aux::Slot(slot, offset) => write!(f, " {slot}{}", Offset(*offset))?,
            Aux::Symbol(symbol) => write!(f, " {symbol}")?,
            Aux::Call { signature, callee } => write!(f, " {callee} {signature}")?,
            Aux::CallIndirect(signature) => write!(f, " {signature}")?,
            Aux::Trap(code) => write!(f, " {}", code.name())?,
            Aux::None | Aux::Memory(_) | Aux::Targets(_) | Aux::Allocation(_) | Aux::Window(_) => {}
        }
        print_values(f, function, &instruction.args)?;
        match &instruction.aux {
            Aux::Memory(memory) => write!(f, " [{memory}]")?,
            Aux::Allocation(allocation) => write!(f, " [{allocation}]")?,
            Aux::Window(window) => write!(f, " [{window}]")?,
            Aux::Targets(targets) => print_targets(f, function, targets)?,
            _ => {}
        }
        write!(f, "{}", Position(function, instruction.source))?;
        match (instruction.opcode, instruction.ty, &instruction.aux) {
            (Opcode::Fconst, Type::F32, &Aux::Int(bits)) => write!(f, " ; {:?}", f32::from_bits(bits as u32)),
            (Opcode::Fconst, Type::F64, &Aux::Int(bits)) => write!(f, " ; {:?}", f64::from_bits(bits as u64)),
            _ => Ok(()),
        }
    }
}

/// A source position, preceded by a space; nothing if it is unknown.
struct Position<'a>(&'a Function, SourceOffset);

impl fmt::Display for Position<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position(function, position) = *self;
        match site_at(&function.inline_sites, position) {
            Some(number) => write!(f, " @{} inline{number}", position.0 - function.inline_sites[number].first),
            None if position == SourceOffset::UNKNOWN => Ok(()),
            None => write!(f, " @{}", position.0),
        }
    }
}

/// An offset with its sign, preceded by a space; nothing if it is zero.
struct Offset(i32);

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { Ok(()) } else { write!(f, " {:+}", self.0) }
    }
}

fn print_values(f: &mut fmt::Formatter<'_>, function: &Function, values: &[Value]) -> fmt::Result {
    for (index, &value) in values.iter().enumerate() {
        write!(f, "{} {}", if index == 0 { "" } else { "," }, function.resolve(value))?;
    }
    Ok(())
}

fn print_targets(f: &mut fmt::Formatter<'_>, function: &Function, targets: &[BlockCall]) -> fmt::Result {
    for (index, target) in targets.iter().enumerate() {
        write!(f, "{} {}", if index == 0 { "" } else { "," }, target.block)?;
        for (index, &arg) in target.args.iter().enumerate() {
            write!(f, "{}{}", if index == 0 { "(" } else { ", " }, function.resolve(arg))?;
        }
        if !target.args.is_empty() {
            f.write_str(")")?;
        }
    }
    Ok(())
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.access, Offset(self.offset))?;
        for (flag, name) in MEMORY_FLAGS {
            if self.flags.contains(flag) {
                write!(f, " {name}")?;
            }
        }
        match self.alias {
            Alias::Any => Ok(()),
            Alias::Header => f.write_str(" header"),
            Alias::Field(number) => write!(f, " field({number})"),
            Alias::Element(access) => write!(f, " element({access})"),
            Alias::Runtime => f.write_str(" runtime"),
            Alias::Stack => f.write_str(" stack"),
        }
    }
}

impl fmt::Display for Allocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "base {} element {}{}", self.base_size, self.element_size, if self.fast { " fast" } else { "" })
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cursor {} limit {} method_table {} length {}", self.cursor, self.limit, self.method_table, self.length)
    }
}
