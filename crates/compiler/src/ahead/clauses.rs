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

/// Writes regions and the types that catch handlers catch; nothing at all for a method without regions.
pub fn encode(writer: &mut DescriptionWriter<'_>, regions: &[RegionData], catch_types: &[TypeId]) -> Vec<u8> {
    if regions.is_empty() {
        return Vec::new();
    }
    writer.unsigned(regions.len() as u32);
    for region in regions {
        writer.unsigned(region.parent.map_or(0, |parent| parent.index() as u32 + 1));
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
    writer.take()
}

/// Reads what [`encode`] wrote. The blocks of handlers are not kept: machine code has its own list of their places.
pub fn decode(reader: &mut DescriptionReader<'_>) -> il::Result<(Vec<RegionData>, Vec<TypeId>)> {
    if reader.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let entry = Block::from_index(0);
    let mut regions = Vec::new();
    for _ in 0..reader.unsigned()? {
        let parent = reader.unsigned()?.checked_sub(1).map(|index| Region::from_index(index as usize));
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
    Ok((regions, catch_types))
}
