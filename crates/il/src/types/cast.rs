//! Which types can be seen as which others (ECMA-335 I.8.7, III.1.8.1.2.3).

use super::*;
use crate::error::Result;

/// `GenericParamAttributes` of variance (ECMA-335 II.23.1.7).
const COVARIANT: u16 = 1;
const CONTRAVARIANT: u16 = 2;
/// Variance and array covariance nest no deeper than this.
const DEPTH_LIMIT: u32 = 64;

impl TypeSystem {
    /// Whether a value of type `from` (boxed, if it is a value type) is also one of type `to`: what `isinst` tells of an object
    /// whose exact type is `from`. `Nullable<T>` as a target counts as `T`.
    pub fn is_assignable(&self, from: TypeId, to: TypeId) -> Result<bool> {
        self.is_assignable_at(from, to, 0)
    }

    /// Whether a class is `ancestor` or derives from it. A class that does not load derives from nothing.
    pub fn derives_from(&self, class: TypeId, ancestor: TypeId) -> bool {
        let mut current = Some(class);
        while let Some(class) = current {
            if class == ancestor {
                return true;
            }
            current = self.header(class).ok().and_then(|header| header.parent);
        }
        false
    }

    /// Whether a transparent proxy may stand for instances of a class.
    pub fn is_marshal_by_ref(&self, class: TypeId) -> bool {
        self.derives_from(class, self.well_known.marshal_by_ref_object)
    }

    /// Whether instances of a class belong to a context.
    pub fn is_context_bound(&self, class: TypeId) -> bool {
        self.derives_from(class, self.well_known.context_bound_object)
    }

    fn is_assignable_at(&self, from: TypeId, to: TypeId, level: u32) -> Result<bool> {
        if from == to {
            return Ok(true);
        }
        if level > DEPTH_LIMIT {
            return Ok(false);
        }
        if let Some(argument) = self.nullable_argument(to) {
            return Ok(from == argument);
        }
        match (self.kind(from), self.kind(to)) {
            (TypeKind::SzArray(source), TypeKind::SzArray(target)) => self.are_elements_assignable(*source, *target, level),
            (TypeKind::Array { element: source, rank }, TypeKind::Array { element: target, rank: target_rank }) => {
                Ok(rank == target_rank && self.are_elements_assignable(*source, *target, level)?)
            }
            (_, TypeKind::SzArray(_) | TypeKind::Array { .. }) => Ok(false),
            (TypeKind::ByRef(source), TypeKind::ByRef(target)) | (TypeKind::Pointer(source), TypeKind::Pointer(target)) => {
                Ok(self.storage_class(*source)? == self.storage_class(*target)?)
            }
            (TypeKind::ByRef(_) | TypeKind::Pointer(_) | TypeKind::FunctionPointer(_), _) => Ok(false),
            (_, TypeKind::ByRef(_) | TypeKind::Pointer(_) | TypeKind::FunctionPointer(_)) => Ok(false),
            (TypeKind::SzArray(element), TypeKind::Instance { definition, args })
                if self.well_known.vector_interfaces.contains(definition) =>
            {
                self.are_elements_assignable(*element, args[0], level)
            }
            _ if to == TypeId::OBJECT => Ok(true),
            _ => self.is_class_assignable(from, to, level),
        }
    }

    fn is_class_assignable(&self, from: TypeId, to: TypeId, level: u32) -> Result<bool> {
        let target = self.header(to)?;
        if target.is_interface() {
            if self.interfaces(from)?.contains(&to) {
                return Ok(true);
            }
            if target.definition == to {
                return Ok(false);
            }
            if self.is_variant(from, to, level)? {
                return Ok(true);
            }
            for &candidate in self.interfaces(from)? {
                if self.is_variant(candidate, to, level)? {
                    return Ok(true);
                }
            }
            return Ok(false);
        }
        let source = self.header(from)?;
        if target.is_delegate() && target.definition != to && self.is_variant(from, to, level)? {
            return Ok(true);
        }
        let mut current = source;
        while current.depth > target.depth {
            match current.parent {
                Some(parent) => current = self.header(parent)?,
                None => break,
            }
        }
        Ok(current.id == to)
    }

    /// Whether both are instances of one definition whose arguments differ only as its variance allows.
    fn is_variant(&self, from: TypeId, to: TypeId, level: u32) -> Result<bool> {
        let (TypeKind::Instance { definition, args: source }, TypeKind::Instance { definition: target_definition, args: target }) =
            (self.kind(from), self.kind(to))
        else {
            return Ok(false);
        };
        if definition != target_definition {
            return Ok(false);
        }
        let params = self.generic_params(*definition)?;
        for ((&source, &target), &flags) in source.iter().zip(target.iter()).zip(params) {
            if source == target {
                continue;
            }
            // Variance is for references only: a value type is represented otherwise.
            let (narrow, wide) = match flags & (COVARIANT | CONTRAVARIANT) {
                COVARIANT => (source, target),
                CONTRAVARIANT => (target, source),
                _ => return Ok(false),
            };
            if !self.is_reference_type(source) || !self.is_reference_type(target) {
                return Ok(false);
            }
            if !self.is_assignable_at(narrow, wide, level + 1)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether an array of `source` can be seen as one of `target`: references covariantly, others if they are the same bits.
    fn are_elements_assignable(&self, source: TypeId, target: TypeId, level: u32) -> Result<bool> {
        if source == target {
            return Ok(true);
        }
        if self.is_reference_type(source) && self.is_reference_type(target) {
            return self.is_assignable_at(source, target, level + 1);
        }
        let is_plain = |t: TypeId| self.is_value_type(t) || matches!(self.kind(t), TypeKind::Pointer(_));
        Ok(is_plain(source) && is_plain(target) && self.element_class(source)? == self.element_class(target)?)
    }

    /// Likewise for elements of arrays, among which native integers count as those of their size, as they do in Mono.
    fn element_class(&self, t: TypeId) -> Result<TypeId> {
        Ok(match self.storage_class(t)? {
            TypeId::I if self.layout().pointer_bytes == 8 => TypeId::I8,
            TypeId::I => TypeId::I4,
            other => other,
        })
    }

    /// What decides whether two element types are interchangeable: the underlying type with signs dropped.
    fn storage_class(&self, t: TypeId) -> Result<TypeId> {
        let t = self.enum_underlying(t)?;
        Ok(match t {
            TypeId::U1 => TypeId::I1,
            TypeId::U2 => TypeId::I2,
            TypeId::U4 => TypeId::I4,
            TypeId::U8 => TypeId::I8,
            TypeId::U => TypeId::I,
            other => other,
        })
    }
}
