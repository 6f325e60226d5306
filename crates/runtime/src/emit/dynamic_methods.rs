//! `DynamicMethod`: each is the only method of an image of its own.

use super::bodies::{Operand, generated_body};
use super::module::ModuleScope;
use super::references::built_signature;
use super::releasing;
use crate::exceptions::{Exception, Result};
use crate::named_fields::Fields;
use crate::object::{ArrayRef, ObjectRef, StringRef};
use crate::{handles, runtime, wrapped_exceptions};
use il::TableId;
use il::types::{AssemblyId, method_attributes};
use parking_lot::RwLock;
use rustc_hash::FxHashSet;
use std::sync::LazyLock;

/// Row of the type that has the method: that of the module.
pub const TYPE_ROW: u32 = 1;
const METHOD_ROW: u32 = 1;
/// What Mono's users see as the assembly of a dynamic method.
const ASSEMBLY_NAME: &str = "Anonymously Hosted DynamicMethods Assembly";

/// The assembly of a dynamic method; reserved now if it has none yet, since methods may call each other before they exist.
pub fn assembly_of(method: Fields) -> Result<AssemblyId> {
    // The class library has this field for the runtime alone.
    if let Some(number) = method.word("referenced_by")?.checked_sub(1) {
        return Ok(AssemblyId(number as u32));
    }
    let assembly = releasing::reserve_assembly(method.object());
    method.set_word("referenced_by", assembly.index() + 1)?;
    Ok(assembly)
}

/// Makes the method of a `DynamicMethod` and stores its handle there.
pub fn create(object: ObjectRef) -> Result<()> {
    let types = &runtime().types;
    let method = Fields::of(object)?;
    let assembly = assembly_of(method)?;
    let mut scope = ModuleScope::new(ASSEMBLY_NAME);
    scope.define_type(types.type_definition(assembly, TYPE_ROW), TYPE_ROW);
    let generator = method.inner("ilgen")?.ok_or_else(|| Exception::invalid_operation("The method has no body."))?;
    let signature = built_signature(method)?;
    let signature = scope.method_signature(&signature);
    let name = scope.writer.string(&method.text("name")?);
    let attributes = u32::from(method_attributes::PUBLIC | method_attributes::STATIC);
    scope.writer.add_row(TableId::MethodDef, &[0, 0, attributes, name, signature, 1]);
    scope.define_method(TYPE_ROW, name, signature, METHOD_ROW);
    let references = method.reference("refs")?.as_array();
    let body = generated_body(&mut scope, generator, method.flag("init_locals")?, &|token| operand(references, token))?;
    let rva = scope.writer.add_body(&body);
    scope.writer.set_cell(TableId::MethodDef, METHOD_ROW, 0, rva);
    scope.install(assembly, ASSEMBLY_NAME)?;
    set_wraps_exceptions(assembly, method)?;
    let made = types.method_definition(assembly, METHOD_ROW)?;
    releasing::set_method(assembly, made);
    method.set_word("mhandle", handles::from_method(made))
}

/// The assemblies of dynamic methods which see thrown objects as their module's assembly does, which asks for wrapped ones.
static WRAPPING: LazyLock<RwLock<FxHashSet<AssemblyId>>> = LazyLock::new(RwLock::default);

/// Whether a dynamic method, the one of this assembly, sees objects that are no exceptions wrapped.
pub fn wraps_exceptions(assembly: AssemblyId) -> bool {
    WRAPPING.read().contains(&assembly)
}

fn set_wraps_exceptions(assembly: AssemblyId, method: Fields) -> Result<()> {
    let wraps = match method.inner("module")? {
        // All kinds of modules have this field.
        Some(module) => match module.word("_impl")?.checked_sub(1) {
            Some(module) => wrapped_exceptions::wraps(runtime().types.manifest_of(AssemblyId(module as u32))),
            None => false,
        },
        None => false,
    };
    // Its number may have been another method's.
    if wraps {
        WRAPPING.write().insert(assembly);
    } else if wraps_exceptions(assembly) {
        WRAPPING.write().remove(&assembly);
    }
    Ok(())
}

/// Tokens of dynamic methods are places in the method's list of references, from 1.
fn operand(references: Option<ArrayRef>, token: u32) -> Option<Operand> {
    let references = references?;
    let index = (token as usize).checked_sub(1).filter(|&index| index < references.len())?;
    let object = references.get_ref(index).non_null()?;
    Some(match object.as_string() {
        Some(string) => Operand::String(StringRef::units(string).to_vec()),
        None => Operand::Object(object),
    })
}
