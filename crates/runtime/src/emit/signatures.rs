//! `SignatureHelper`: the bytes of the signatures that a program describes, for itself to read or to hand to a symbol writer.

use super::references::type_ids;
use super::registry::module_assembly;
use super::tokens::signature_type_token;
use crate::exceptions::Result;
use crate::named_fields::Fields;
use crate::runtime;
use il::Token;
use il::types::{AssemblyId, TypeId};
use il::writer::signatures::{TypeTokens, push_compressed, push_type};

/// The tokens of a module that is being built.
struct ModuleTokens {
    module: AssemblyId,
    /// The first error, since [`TypeTokens`] gives none.
    outcome: Result<()>,
}

impl TypeTokens for ModuleTokens {
    fn class_token(&mut self, class: TypeId) -> Token {
        match signature_type_token(self.module, class) {
            Ok(token) => Token(token),
            Err(error) => {
                self.outcome = Err(error);
                Token::NULL
            }
        }
    }

    fn is_value_type(&self, class: TypeId) -> bool {
        let types = &runtime().types;
        types.definition_of(class).is_some_and(|(assembly, _)| types.is_filled(assembly)) && types.is_value_type(class)
    }
}

/// Appends the types of a helper's arguments. Without a module there are no tokens, and Mono leaves all types out.
fn push_arguments(signature: &mut Vec<u8>, module: Option<Fields>, arguments: &[TypeId]) -> Result<()> {
    let Some(module) = module else { return Ok(()) };
    let mut tokens = ModuleTokens { module: module_assembly(module)?, outcome: Ok(()) };
    arguments.iter().for_each(|&ty| push_type(signature, &runtime().types, &mut tokens, ty));
    tokens.outcome
}

/// The signature of local variables. Which of them are pinned is not told, as in Mono.
pub fn locals(helper: Fields) -> Result<Vec<u8>> {
    const LOCALS: u8 = 7;
    let arguments = type_ids(helper.elements("arguments")?)?;
    let mut signature = vec![LOCALS];
    push_compressed(&mut signature, arguments.len() as u32);
    push_arguments(&mut signature, helper.inner("module")?, &arguments)?;
    Ok(signature)
}

/// The signature of a field.
pub fn field(helper: Fields) -> Result<Vec<u8>> {
    const FIELD: u8 = 6;
    let mut signature = vec![FIELD];
    push_arguments(&mut signature, helper.inner("module")?, &type_ids(helper.elements("arguments")?)?)?;
    Ok(signature)
}
