//! Constraints on the parameters of generic types (ECMA-335 II.10.1.7).

use super::methods::method_attributes as attributes;
use super::*;
use crate::error::Result;
use crate::tables::{TableId, Token};

/// `GenericParamAttributes` (II.23.1.7): the argument is a reference type.
const REFERENCE: u16 = 4;
/// It is a value type other than a nullable.
const VALUE: u16 = 8;
/// It is a value type or has a public constructor without parameters.
const CONSTRUCTOR: u16 = 16;

impl TypeSystem {
    /// Whether the arguments of an instance satisfy the constraints of its definition's parameters. Those of shared code and open types
    /// are not looked at; other types have no arguments.
    pub(crate) fn satisfies_constraints(&self, t: TypeId) -> Result<bool> {
        let TypeKind::Instance { definition, args } = self.kind(t) else { return Ok(true) };
        let Some((assembly, row)) = self.definition_of(*definition) else { return Ok(true) };
        if self.contains_canon(t) || self.contains_type_variables(t) {
            return Ok(true);
        }
        let metadata = self.metadata(assembly);
        let context = self.type_context(t);
        for (&argument, (row, parameter)) in args.iter().zip(metadata.generic_params_of(Token::new(TableId::TypeDef, row))) {
            let is_value_type = self.is_value_type(argument);
            let is_nullable = self.nullable_argument(argument).is_some();
            let is_refused = parameter.flags & REFERENCE != 0 && is_value_type
                || parameter.flags & VALUE != 0 && (!is_value_type || is_nullable)
                || parameter.flags & CONSTRUCTOR != 0 && !is_value_type && !self.has_default_constructor(argument)?;
            if is_refused {
                return Ok(false);
            }
            for constraint in metadata.generic_param_constraints(row) {
                let wanted = self.resolve_type(assembly, constraint, &context)?;
                if !self.is_assignable(argument, wanted)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Whether a class declares a public constructor without parameters.
    fn has_default_constructor(&self, class: TypeId) -> Result<bool> {
        let Some(found) = self.find_method(class, ".ctor", Some(&[]))? else { return Ok(false) };
        let method = self.method(found);
        Ok(!method.is_static() && method.attributes & attributes::ACCESS == attributes::PUBLIC)
    }
}
