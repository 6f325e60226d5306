//! The layout of static fields.

use super::layout::align_up;
use super::*;
use crate::error::Result;
use crate::tables::{TableId, Token};

/// The layout of a type's static fields.
#[derive(Debug, Default)]
pub struct Statics {
    /// Bytes of the area without references.
    pub data_size: u32,
    /// Its alignment.
    pub data_align: u32,
    /// Bytes of the area of references.
    pub reference_size: u32,
    /// Offsets in the area of references at which a box of a value type must be put before use.
    pub boxed: Box<[(u32, TypeId)]>,
    /// As `data_size`, of fields that each thread or context has for itself. The areas of both have room for all of these.
    pub local_data_size: u32,
    /// As `reference_size`, likewise.
    pub local_reference_size: u32,
    /// As `boxed`, likewise.
    pub local_boxed: Box<[(u32, TypeId)]>,
    /// By position among all fields; of instance fields `None`.
    pub(super) locations: Box<[Option<FieldLocation>]>,
}

/// Fields placed so far.
#[derive(Default)]
struct Area {
    data: u32,
    references: u32,
    boxed: Vec<(u32, TypeId)>,
}

impl TypeSystem {
    /// The layout of a type's static fields.
    pub fn statics(&self, t: TypeId) -> Result<&Statics> {
        self.entry(t).statics.get_or(|| self.load_statics(t))
    }

    fn load_statics(&self, t: TypeId) -> Result<Statics> {
        use field_attributes::{HAS_RVA, LITERAL, STATIC};
        let pointer = self.layout.pointer_bytes;
        let mut areas = [Area::default(), Area::default()];
        let mut data_align = 1;
        let fields = self.fields_of(t)?;
        let mut locations = vec![None; fields.len()];
        for (&f, location) in fields.iter().zip(&mut locations) {
            let field = self.field(f);
            if field.attributes & STATIC == 0 {
                continue;
            }
            if field.attributes & LITERAL != 0 {
                *location = Some(FieldLocation::Literal);
                continue;
            }
            if field.attributes & HAS_RVA != 0 {
                let rva = self.metadata(field.assembly).field_rva(field.row);
                let rva = rva.ok_or_else(|| self.load_error(t, "a field's initial data is missing"))?;
                *location = Some(FieldLocation::Rva { rva });
                continue;
            }
            let token = Token::new(TableId::Field, field.row);
            let has_attribute = |name| self.has_custom_attribute(field.assembly, token, "System", name);
            let holder = match has_attribute("ThreadStaticAttribute") {
                true => Some(StaticHolder::Thread),
                false => has_attribute("ContextStaticAttribute").then_some(StaticHolder::Context),
            };
            let area = &mut areas[usize::from(holder.is_some())];
            let ty = self.type_to_lay_out(f)?;
            let (size, align, has_references) = self.measure(ty, &mut Vec::new())?;
            *location = Some(if has_references {
                let offset = area.references;
                area.references += pointer;
                let is_boxed = self.is_value_type(ty);
                if is_boxed {
                    area.boxed.push((offset, ty));
                }
                match (holder, is_boxed) {
                    (None, false) => FieldLocation::ReferenceStatic { offset },
                    (None, true) => FieldLocation::BoxedStatic { offset },
                    (Some(holder), false) => FieldLocation::LocalReferenceStatic { holder, offset },
                    (Some(holder), true) => FieldLocation::LocalBoxedStatic { holder, offset },
                }
            } else {
                // Structures are aligned as for atomic access to whole words.
                let align = align.max(size.next_power_of_two().min(8));
                let offset = align_up(area.data, align);
                area.data = offset.checked_add(size).ok_or_else(|| self.load_error(t, "the static fields are too large"))?;
                data_align = data_align.max(align);
                match holder {
                    None => FieldLocation::Static { offset },
                    Some(holder) => FieldLocation::LocalStatic { holder, offset },
                }
            });
        }
        let [shared, local] = areas;
        Ok(Statics {
            data_size: shared.data,
            data_align,
            reference_size: shared.references,
            boxed: shared.boxed.into(),
            local_data_size: local.data,
            local_reference_size: local.references,
            local_boxed: local.boxed.into(),
            locations: locations.into(),
        })
    }
}
