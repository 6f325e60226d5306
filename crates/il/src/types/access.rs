//! Who may touch which member (ECMA-335 I.8.5.3), by the rules that Mono's compiler applies: accessibility of members, not of
//! types; a nested type sees what the types around it see; friends see internals.

use super::*;
use crate::attributes::first_string;
use crate::tables::{CustomAttributeRow, TableId, Token};

/// Accessibility of members, in the low bits of the attributes of fields and methods alike (II.23.1.5, II.23.1.10).
mod accessibility {
    pub const MASK: u16 = 7;
    pub const COMPILER_CONTROLLED: u16 = 0;
    pub const PRIVATE: u16 = 1;
    pub const FAMILY_AND_ASSEMBLY: u16 = 2;
    pub const ASSEMBLY: u16 = 3;
    pub const FAMILY: u16 = 4;
    pub const FAMILY_OR_ASSEMBLY: u16 = 5;
    pub const PUBLIC: u16 = 6;
}

impl TypeSystem {
    /// Whether the code of a method may call another method.
    pub fn can_access_method(&self, from: MethodId, method: MethodId) -> bool {
        let method = self.method(method);
        self.can_access(self.method(from).owner, method.owner, method.assembly, method.attributes)
    }

    /// Whether the code of a method may use a field.
    pub fn can_access_field(&self, from: MethodId, field: FieldId) -> bool {
        let field = self.field(field);
        self.can_access(self.method(from).owner, field.owner, field.assembly, field.attributes)
    }

    fn can_access(&self, from: TypeId, owner: TypeId, assembly: AssemblyId, attributes: u16) -> bool {
        let level = attributes & accessibility::MASK;
        if level == accessibility::PUBLIC || self.definition_of(owner).is_none() {
            return true;
        }
        let owner = self.generic_definition_type(owner);
        let mut current = Some(self.generic_definition_type(from));
        while let Some(class) = current {
            if self.can_class_access(class, owner, assembly, level) {
                return true;
            }
            current = self.declaring_type(class);
        }
        false
    }

    fn can_class_access(&self, class: TypeId, owner: TypeId, assembly: AssemblyId, level: u16) -> bool {
        if class == owner {
            return true;
        }
        let Some((own_assembly, _)) = self.definition_of(class) else { return true };
        let own_whole = self.whole_of(own_assembly);
        // The core library may do anything; dynamic methods may have asked to.
        if own_assembly == self.corlib() || self.assembly(own_assembly).path().is_none() && own_whole.is_none() {
            return true;
        }
        let is_same = own_assembly == assembly || own_whole.is_some() && own_whole == self.whole_of(assembly);
        let is_inside = || is_same || self.is_friend(assembly, own_assembly);
        match level {
            accessibility::COMPILER_CONTROLLED => is_same,
            accessibility::PRIVATE => false,
            accessibility::FAMILY_AND_ASSEMBLY => is_inside() && self.is_family(class, owner),
            accessibility::ASSEMBLY => is_inside(),
            accessibility::FAMILY => self.is_family(class, owner),
            accessibility::FAMILY_OR_ASSEMBLY => is_inside() || self.is_family(class, owner),
            _ => true,
        }
    }

    /// Whether a class is, or derives from, an instance of `base`, a definition. An interface is family to its implementers.
    fn is_family(&self, class: TypeId, base: TypeId) -> bool {
        let is_base = |t: TypeId| self.generic_definition_type(t) == base;
        if self.is_interface(base) {
            return self.interfaces(class).is_ok_and(|interfaces| interfaces.iter().any(|&interface| is_base(interface)));
        }
        let mut current = Some(class);
        while let Some(t) = current {
            if is_base(t) {
                return true;
            }
            current = self.header(t).ok().and_then(|header| header.parent);
        }
        false
    }

    /// Whether `assembly` lets `friend` see its internals.
    pub fn is_friend(&self, assembly: AssemblyId, friend: AssemblyId) -> bool {
        let metadata = self.metadata(assembly);
        let declaring = self.assembly(assembly);
        let friend = self.assembly(friend).name();
        let attributes = declaring.custom_attributes(
            Token::new(TableId::Assembly, 1),
            "System.Runtime.CompilerServices",
            "InternalsVisibleToAttribute",
        );
        attributes.filter_map(|row| metadata.row::<CustomAttributeRow>(row).ok()).any(|attribute| {
            let blob = metadata.blob(attribute.value).unwrap_or_default();
            let Some(name) = first_string(blob).and_then(|text| AssemblyName::parse(&text).ok()) else { return false };
            name.name.eq_ignore_ascii_case(&friend.name) && (name.token().is_none() || name.token() == friend.token())
        })
    }
}
