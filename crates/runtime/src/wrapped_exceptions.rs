//! Thrown objects that are no exceptions (ECMA-335 II.10.4, III.4.31): they travel in a `RuntimeWrappedException`, and only handlers
//! of assemblies that do not ask for it (`RuntimeCompatibilityAttribute.WrapNonExceptionThrows`) see the bare object.

use crate::emit::attributes::attributes_of_builder;
use crate::emit::{dynamic_methods, registry};
use crate::exceptions::{self, Result};
use crate::fields::KnownField;
use crate::invoke::{self, Argument};
use crate::method_table::method_table;
use crate::object::{self, ObjectRef};
use crate::runtime;
use il::attributes::{ArgumentValue, AttributeArguments, EnumTypes};
use il::signature::MethodSig;
use il::tables::CustomAttributeRow;
use il::types::{AssemblyId, MethodId, TypeId};
use il::{TableId, Token};

const SPACE: &str = "System.Runtime.CompilerServices";

static WRAPPED: KnownField = KnownField::new(SPACE, "RuntimeWrappedException", "_wrappedException");

/// The signature of a constructor without parameters.
const CONSTRUCTOR: &[u8] = &[0x20, 0, 1];

/// What is thrown in place of `object`: itself, if it is an exception.
pub fn wrap(object: ObjectRef) -> Result<ObjectRef> {
    if exceptions::is_exception(object) {
        return Ok(object);
    }
    let types = &runtime().types;
    let class = types.well_known().runtime_wrapped_exception;
    let Some(constructor) = types.find_method(class, ".ctor", Some(&[TypeId::OBJECT]))? else { return Ok(object) };
    let exception = object::allocate(method_table(class)?)?;
    invoke::call(constructor, &[Argument::reference(exception), Argument::reference(object)])?;
    Ok(exception)
}

/// What a handler in `method` sees of `exception`.
pub fn seen_by(method: Option<MethodId>, exception: ObjectRef) -> ObjectRef {
    let types = &runtime().types;
    if exception.type_id() != types.well_known().runtime_wrapped_exception {
        return exception;
    }
    let wraps = method.is_some_and(|method| wraps(types.method(method).assembly));
    if wraps { exception } else { WRAPPED.get(exception) }
}

/// Whether an assembly asks for wrapped objects.
pub fn wraps(assembly: AssemblyId) -> bool {
    let types = &runtime().types;
    if dynamic_methods::wraps_exceptions(assembly) {
        return true;
    }
    if let Some(owner) = registry::owner_of(assembly) {
        return asks_builder(owner.assembly.get()).unwrap_or(false);
    }
    let parent = Token::new(TableId::Assembly, 1);
    let Some(row) = types.assembly(assembly).find_custom_attribute(parent, SPACE, "RuntimeCompatibilityAttribute") else {
        return false;
    };
    let metadata = types.metadata(assembly);
    metadata.row::<CustomAttributeRow>(row).and_then(|attribute| metadata.blob(attribute.value)).is_ok_and(asks)
}

/// Whether the attribute's arguments ask for wrapped objects.
fn asks(blob: &[u8]) -> bool {
    let arguments = MethodSig::parse(CONSTRUCTOR).and_then(|signature| AttributeArguments::parse(blob, &signature, &NoEnums));
    arguments.is_ok_and(|arguments| {
        let wanted = |name: &str| name == "WrapNonExceptionThrows";
        arguments.named.iter().any(|named| wanted(&named.name) && named.value == ArgumentValue::Boolean(true))
    })
}

/// Whether an `AssemblyBuilder` carries an attribute that asks for wrapped objects.
fn asks_builder(builder: ObjectRef) -> Result<bool> {
    let types = &runtime().types;
    let attributes = attributes_of_builder(builder)?.map(|(_, attributes)| attributes).unwrap_or_default();
    let is_wanted = |constructor| types.simple_name(types.method(constructor).owner) == (SPACE, "RuntimeCompatibilityAttribute");
    Ok(attributes.iter().any(|&(constructor, blob)| is_wanted(constructor) && asks(blob)))
}

/// The attribute's arguments are of no enumerations.
struct NoEnums;

impl EnumTypes for NoEnums {
    fn underlying_type_of(&self, _: Token) -> il::Result<u8> {
        Err(il::Error::bad_image("an attribute of the runtime with an enumeration"))
    }
    fn underlying_type_by_name(&self, name: &str) -> il::Result<u8> {
        Err(il::Error::bad_image("an attribute of the runtime with an enumeration").with_name(name))
    }
}
