//! What the runtime needs of a method's protected regions, as bytes beside its code.

use crate::description::{DescriptionReader, DescriptionWriter};
use il::types::TypeId;
use ir::entity::{Block, Entity, Region};
use ir::function::{Handler, HandlerKind, RegionData};

/// Tags of [`HandlerKind`].
const CATCH: u32 = 0;
const FILTER: u32 = 1;
const FINALLY: u32 = 2;
const FAULT: u32 = 3;

/// What stands beside the code of a method with protected regions.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Clauses {
    /// The regions.
    pub regions: Vec<RegionData>,
    /// The types that catch handlers catch, by their number.
    pub catch_types: Vec<TypeId>,
    /// Where the region changes, see [`CompiledCode::region_changes`](ir::mach::CompiledCode::region_changes).
    pub region_changes: Vec<(u32, Option<Region>)>,
}

/// Writes clauses; nothing at all for a method without regions.
pub fn encode(
    writer: &mut DescriptionWriter<'_>,
    regions: &[RegionData],
    catch_types: &[TypeId],
    region_changes: &[(u32, Option<Region>)],
) -> Vec<u8> {
    if regions.is_empty() {
        return Vec::new();
    }
    writer.unsigned(regions.len() as u32);
    let number = |region: Option<Region>| region.map_or(0, |region| region.index() as u32 + 1);
    for region in regions {
        writer.unsigned(number(region.parent));
        writer.unsigned(region.handlers.len() as u32);
        for handler in &region.handlers {
            match handler.kind {
                HandlerKind::Catch(number) => {
                    writer.unsigned(CATCH);
                    writer.unsigned(number);
                }
                HandlerKind::Filter(_) => writer.unsigned(FILTER),
                HandlerKind::Finally => writer.unsigned(FINALLY),
                HandlerKind::Fault => writer.unsigned(FAULT),
            }
        }
    }
    writer.unsigned(catch_types.len() as u32);
    for &ty in catch_types {
        writer.ty(ty);
    }
    writer.unsigned(region_changes.len() as u32);
    let mut last = 0;
    for &(offset, region) in region_changes {
        writer.unsigned(offset - last);
        writer.unsigned(number(region));
        last = offset;
    }
    writer.take()
}

/// Reads what [`encode`] wrote. The blocks of handlers are not kept: machine code has its own list of their places.
pub fn decode(reader: &mut DescriptionReader<'_>) -> il::Result<Clauses> {
    if reader.is_empty() {
        return Ok(Clauses::default());
    }
    let entry = Block::from_index(0);
    let mut regions = Vec::new();
    for _ in 0..reader.unsigned()? {
        let parent = region(reader.unsigned()?);
        let mut handlers = Vec::new();
        for _ in 0..reader.unsigned()? {
            let kind = match reader.unsigned()? {
                CATCH => HandlerKind::Catch(reader.unsigned()?),
                FILTER => HandlerKind::Filter(entry),
                FINALLY => HandlerKind::Finally,
                FAULT => HandlerKind::Fault,
                _ => return Err(il::Error::bad_image("unknown kind of handler in the AOT image")),
            };
            handlers.push(Handler { kind, entry });
        }
        regions.push(RegionData { parent, handlers });
    }
    let count = reader.unsigned()?;
    let catch_types = (0..count).map(|_| reader.ty()).collect::<il::Result<_>>()?;
    let mut region_changes = Vec::new();
    let mut offset = 0u32;
    for _ in 0..reader.unsigned()? {
        offset = offset.saturating_add(reader.unsigned()?);
        region_changes.push((offset, region(reader.unsigned()?)));
    }
    Ok(Clauses { regions, catch_types, region_changes })
}

/// The region that `encode` gave this number.
fn region(number: u32) -> Option<Region> {
    number.checked_sub(1).map(|index| Region::from_index(index as usize))
}
